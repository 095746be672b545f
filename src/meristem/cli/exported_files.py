"""The files of an export on disk: written together, compared with what they should be, removed when they are no more.

Only files that this command has written are changed or removed, which it knows by their first line.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from meristem.cli.output import writing
from meristem.errors import ConfigurationError
from meristem.private_files import SHARED, written_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class ExportedFiles:
    """The `files` of an export in a folder, by their paths below it; `first_line` is that of a file by its name."""

    def __init__(self, folder: Path, files: Mapping[str, str], first_line: Callable[[str], str]) -> None:
        self._folder = folder
        self._files = {folder / name: text.encode() for name, text in files.items()}
        self._first_line = first_line

    def differing(self) -> Iterator[str]:
        """What writing would change, one sentence for each file."""
        for path, content in self._files.items():
            there = _content(path)
            if there is None:
                yield f"{path} is missing"
            elif there != content:
                yield f"{path} differs"
        for path in self._left():
            yield f"{path} is of an earlier export"

    def write(self) -> tuple[list[Path], list[Path]]:
        """Write all or, where one cannot be written, none; what was written and what was removed.

        Raises ConfigurationError for a file in the way that is somebody else's.
        """
        for path in self._files:
            self._ours_or_none(path)
        left = [*self._left()]
        with ExitStack() as stack:
            ready = []
            for path, content in self._files.items():
                with writing(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    ready.append((stack.enter_context(written_beside(path, content, rights=SHARED)), path))
            for beside, path in ready:
                with writing(path):
                    beside.replace(path)
        for path in left:
            with writing(path):
                path.unlink()
        return [*self._files], left

    def _ours_or_none(self, path: Path) -> None:
        if path.exists() and not self._is_ours(path):
            raise ConfigurationError(
                f"{path} was not written by this export, so it is left as it is; move it away, or name another folder "
                "by --out"
            )

    def _left(self) -> Iterator[Path]:
        """What an earlier export has written and this one does not."""
        for folder in sorted({self._folder, *(path.parent for path in self._files)}):
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path not in self._files and path.is_file() and not path.is_symlink() and self._is_ours(path):
                    yield path

    def _is_ours(self, path: Path) -> bool:
        wanted = self._first_line(path.relative_to(self._folder).as_posix()).encode() + b"\n"
        try:
            with path.open("rb") as file:
                return file.read(len(wanted)) == wanted
        except OSError:  # what may not be read is somebody else's
            return False


def _content(path: Path) -> bytes | None:
    with writing(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
