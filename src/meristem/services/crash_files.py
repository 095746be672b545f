"""How often in a row this replica's process has ended within a method that each replica runs: a small file for each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from meristem.private_files import make_folder, write_file

if TYPE_CHECKING:
    from pathlib import Path

logger: Final = logging.getLogger(__name__)


class CrashFiles:
    """The counts of one replica in `folder`; nothing is there while all is well.

    They outlive the process, not the machine or container: nothing waits for the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._trusted: set[str] = set()

    def is_trusted(self, duty: str) -> bool:
        return duty in self._trusted

    async def crashes(self, duty: str) -> int:
        try:
            return int(self._file(duty).read_bytes())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read, and counts as none: %s", self._file(duty), error)
            return 0

    async def count(self, duty: str, crashes: int) -> None:
        file = self._file(duty)
        try:
            if crashes == 0:
                file.unlink(missing_ok=True)
                self._trusted.add(duty)
            else:
                make_folder(self._folder)
                write_file(file, str(crashes).encode())
        except OSError as error:
            # The method runs all the same: that it may end its process is no reason to leave it out.
            logger.warning("cannot write %s: %s; ends of the process within %s aren't counted", file, error, duty)

    async def relent(self, duty: str, crashes: int) -> None:
        if await self.crashes(duty) > crashes:
            await self.count(duty, crashes)

    def _file(self, duty: str) -> Path:
        return self._folder / quote(duty, safe="")
