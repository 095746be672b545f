"""How many replicas of a process run now, where that is not what the placement says: told in the folder of sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meristem.private_files import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COUNTS: Final = "replicas.json"


class ReplicaFile:
    """The file of a run, which its supervisor writes and its processes look at; it ends with the run."""

    def __init__(self, run: Path) -> None:
        self._path = run / COUNTS

    def write(self, counts: Mapping[str, int]) -> None:
        """Tell them; a reader sees the old or the new ones, never half of them."""
        written = self._path.with_suffix(".new")
        write_file(written, msgspec.json.encode(counts))
        written.replace(self._path)

    def version(self) -> tuple[int, int]:
        """Another one once they have been written anew."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns

    def read(self) -> dict[str, int]:
        """The counts by process; of the others it is what the placement says."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return {}
