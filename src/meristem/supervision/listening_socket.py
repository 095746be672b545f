"""The listening socket of a replica, held by its supervisor too: who connects while no process accepts waits in it."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from meristem.transports.http.responses import not_served

if TYPE_CHECKING:
    from pathlib import Path


class ListeningSocket:
    """Bound to `path`; who inherits it listens, so that nobody can connect before a first process is there.

    The kernel keeps the queue of those who have connected as long as somebody holds the socket, as with systemd's
    socket activation. `address` is what a replica is told to listen on, `descriptor` what it inherits for that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket: socket.socket | None = socket.socket(socket.AF_UNIX)
        try:
            if not path.parent.is_dir():  # cleared away under a system that runs
                path.parent.mkdir(mode=0o700)
            self._socket.bind(str(path))
            path.chmod(0o600)
        except OSError:
            # The replica meets the same obstacle, and says why by its own words and exit code, which are judged.
            self.close()

    @property
    def address(self) -> str:
        return f"unix:{self.path}" if self._socket is None else f"fd:{self._socket.fileno()}"

    @property
    def descriptors(self) -> tuple[int, ...]:
        return () if self._socket is None else (self._socket.fileno(),)

    def refuse(self) -> None:
        """Tell those who wait in the queue that their requests were not served, so that each may be sent again."""
        if self._socket is None:
            return
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):  # the queue is empty, or nobody ever listened
            while True:
                waiting, _ = self._socket.accept()
                with waiting, contextlib.suppress(OSError):  # it has gone again
                    waiting.send(not_served())

    def close(self) -> None:
        """Refuse those who wait, and remove it."""
        self.refuse()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.path.unlink(missing_ok=True)
