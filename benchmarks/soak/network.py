"""A network namespace for each replica, on one bridge: pulling its cable cuts it off from database, bank and mail.

A broker has one as well: pulling its cable cuts it off from all.

Services talk to each other over Unix sockets, which a network namespace does not divide. So what is cut off is still
asked by its callers, and reaches nobody by itself. What is sent meanwhile is lost and sent again by TCP once the
cable is back: neither end is told.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LOOPBACK, LOOPBACK_NETWORK = "127.0.0.1", "127.0.0.0/8"
PROGRAMS = ("ip", "nsenter")


class Network:
    """The bridge and its namespaces; without right or program for them it is the loopback interface alone."""

    def __init__(self, replicas: Sequence[str], *, divided: bool) -> None:
        self.divided = divided
        self._id = os.getpid() % 10000
        self._bridge = f"sk{self._id}"
        self._prefix = f"10.213.{self._id % 256}"
        self._numbers = {name: number for number, name in enumerate(replicas, start=2)}
        self.host = f"{self._prefix}.1" if divided else LOOPBACK
        self.network = f"{self._prefix}.0/24" if divided else LOOPBACK_NETWORK

    def make(self) -> None:
        """Make bridge, namespaces and the cables between."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self.host}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for name, number in self._numbers.items():
            space, cable = self.space(name), self._cable(name)
            _ip("netns", "add", space)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", cable, "master", self._bridge, "up")
            _ip("-n", space, "address", "add", f"{self._prefix}.{number}/24", "dev", "eth0")
            for each in ("lo", "eth0"):
                _ip("-n", space, "link", "set", each, "up")

    def remove(self) -> None:
        """Take away what `make` made, as far as it came; the cables go with their ends."""
        for name in self._numbers:
            if Path("/run/netns", self.space(name)).exists():
                _ip("netns", "delete", self.space(name))
        if Path("/sys/class/net", self._bridge).exists():
            _ip("link", "delete", self._bridge)

    def cut(self, name: str) -> None:
        """Pull a replica's cable."""
        _ip("link", "set", self._cable(name), "down")

    def mend(self, name: str) -> None:
        """Plug it in again."""
        _ip("link", "set", self._cable(name), "up")

    def space(self, name: str) -> str:
        """The name of a replica's namespace, as `ip netns` knows it."""
        return f"soak{self._id}-{name}"

    def address(self, name: str) -> str:
        """Where what runs in a namespace listens; this machine's own address where there are none."""
        return f"{self._prefix}.{self._numbers[name]}" if self.divided else self.host

    def within(self, name: str) -> list[str]:
        """What a command begins with that is to run in a namespace."""
        return ["nsenter", f"--net=/run/netns/{self.space(name)}"] if self.divided else []

    def interpreter(self, folder: Path) -> Path:
        """A Python that a placement can name: each replica of a process runs in the namespace of its name."""
        path = folder / "python"
        path.write_text(_INTERPRETER.format(python=sys.executable, prefix=f"soak{self._id}-"))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def _cable(self, name: str) -> str:
        return f"{self._bridge}c{self._numbers[name]}"


# It becomes the interpreter, so the supervisor knows its pid; without a replica, as where it is asked what it is, it
# is the interpreter as it stands.
_INTERPRETER = """#!/bin/sh
before="" process="" replica=""
for word in "$@"; do
  case "$before" in
    --process) process="$word" ;;
    --replica) replica="$word" ;;
  esac
  before="$word"
done
if [ -z "$process" ] || [ -z "$replica" ]; then exec {python} "$@"; fi
exec nsenter --net="/run/netns/{prefix}$process-$replica" {python} "$@"
"""


def possible() -> str:
    """Empty where namespaces can be made, else why not."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    missing = [each for each in PROGRAMS if shutil.which(each) is None]
    if missing:
        return f"there is no {' and no '.join(missing)}"
    probe = f"soakprobe{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if tried.returncode:
        return tried.stderr.strip()
    _ip("netns", "delete", probe)
    return ""


@contextmanager
def network_for(replicas: Sequence[str], *, divided: bool) -> Iterator[Network]:
    """A network in which every replica can be cut off, or the loopback interface; it is gone afterwards."""
    found = Network(replicas, divided=divided)
    if not divided:
        yield found
        return
    try:
        found.make()
        yield found
    finally:
        found.remove()


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
