"""A machine of its own on the network, as the kernel sees it: a namespace with a way to the database that can be cut.

It has two ways here, each a pair of virtual interfaces: one to whom it serves, and one to the database alone. What is
sent while that one is cut is lost and sent again, as TCP does, and nobody is told.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Final

from meristem.security.tokens import new_secret

_NEEDED: Final = ("ip", "unshare", "hostname")
# Of 198.18.0.0/15, which is for tests alone (RFC 2544): a place of eight addresses for each process that tests.
_PLACES: Final = 8192


def missing() -> str | None:
    """Why there can be none here."""
    absent = [each for each in _NEEDED if shutil.which(each) is None]
    if absent:
        return f"there is no {' and no '.join(absent)} on this machine"
    if os.geteuid() != 0:
        return "network namespaces take root"
    tried = subprocess.run(["unshare", "--net", "--uts", "true"], capture_output=True, check=False, text=True)
    return f"there are no network namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Network:
    """Between `start` and `stop` there is the namespace; `host` is what is here, as seen from it."""

    def __init__(self) -> None:
        tag = new_secret().hex()[:8]
        self._name = f"meristem-{tag}"
        self._ways = [f"mt{tag}{end}" for end in "abcd"]
        first = os.getpid() % _PLACES * 8
        ends = [f"198.18.{(first + each) // 256}.{(first + each) % 256}" for each in (1, 2, 5, 6)]
        self.host, self.address, self.database, self._other = ends
        self.prefix = (
            *("ip", "netns", "exec", self._name),
            *("unshare", "--uts", "sh", "-c", 'hostname elsewhere; exec "$0" "$@"'),
        )
        """What a command runs behind to run there, on a machine of another name."""

    def start(self) -> None:
        """Make it, with both ways open."""
        here, there, database, other = self._ways
        _ip("netns", "add", self._name)
        try:
            _ip("-n", self._name, "link", "set", "lo", "up")
            for ours, theirs, mine, its in (
                (here, there, self.host, self.address),
                (database, other, self.database, self._other),
            ):
                _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", self._name)
                _ip("address", "add", f"{mine}/30", "dev", ours)
                _ip("link", "set", ours, "up")
                _ip("-n", self._name, "address", "add", f"{its}/30", "dev", theirs)
                _ip("-n", self._name, "link", "set", theirs, "up")
        except BaseException:
            self.stop()
            raise

    def cut(self) -> None:
        """Lose what goes to the database and comes from there."""
        _ip("link", "set", self._ways[2], "down")

    def mend(self) -> None:
        """Let it through again."""
        _ip("link", "set", self._ways[2], "up")

    def stop(self) -> None:
        """Remove it; the ways go with it as soon as nothing runs in it any more."""
        _ip("netns", "delete", self._name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
