"""The name of a replica's gRPC socket, which its supervisor gives to the process that is ready."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class GrpcName:
    """Gives `name` to the socket of one generation after the other.

    grpcio takes no socket from the supervisor, so each process has one of its own. A name is left to a process that has
    ended as long as another one is to follow: connecting is refused then, and callers that find the name wait for it.
    """

    def __init__(self, name: Path) -> None:
        self._name = name

    def own(self, generation: int) -> Path:
        """Where the process of a generation listens."""
        return self._name.with_name(self._name.name.replace(".grpc.", f".{generation}.grpc."))

    def admit(self, generation: int) -> None:
        """Let others find the process of a generation."""
        with contextlib.suppress(FileNotFoundError):  # it has ended since it was ready, which its restarter meets next
            self.own(generation).replace(self._name)

    def withdraw(self) -> None:
        """Let nobody find it: who would wait is refused."""
        self._name.unlink(missing_ok=True)

    def dismiss(self, generation: int) -> None:
        """Leave nothing of a generation that has no name."""
        self.own(generation).unlink(missing_ok=True)
