"""What a process imported, told from the files themselves, so that another process sees whether it still holds."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

PACKAGES: Final = frozenset({"site-packages", "dist-packages"})


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was: bytes, nanoseconds of its last change, SHA-256 of its content."""

    size: int
    changed: int
    digest: str


class Fingerprint(msgspec.Struct, frozen=True):
    """The files of modules and their interpreter, and the packages in each folder where packages are installed.

    A path inside the project is relative to its folder. A file that was copied, and so has another time, is the same
    while its content is.
    """

    files: dict[str, Stamp]
    packages: dict[str, str]

    def holds(self, root: Path) -> bool:
        """Whether nothing that was imported has changed since."""
        packages = all(packages_in(Path(folder)) == digest for folder, digest in self.packages.items())
        return packages and all(_is_same(root / path, stamp) for path, stamp in self.files.items())


def fingerprint(root: Path) -> Fingerprint:
    """What this process has imported by now, beside the standard library.

    Of what is installed as a package its name and version are enough: nobody edits it in place.
    """
    import sysconfig  # noqa: PLC0415 - only who makes descriptions needs it

    standard = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
    found = {os.path.realpath(sys.executable)}
    # A copy: asking a lazy module for its file may import it, and so change what is looped over.
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is not None and not PACKAGES & set(Path(file).parts) and not file.startswith(standard):
            found.add(os.path.abspath(file))  # noqa: PTH100 - as it was imported, links kept
    stamps = {_inside(root, path): _stamp(Path(path)) for path in sorted(found) if Path(path).is_file()}
    # What is installed as editable lies elsewhere: its files are among those stamped one by one.
    folders = [each for each in sys.path if PACKAGES & set(Path(each).parts) and Path(each).is_dir()]
    return Fingerprint(stamps, {each: packages_in(Path(each)) for each in folders})


def packages_in(folder: Path) -> str:
    """The names and versions of the distributions that are installed in a folder, as one digest."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info")))  # noqa: PTH208 - names alone
    except OSError:
        names = []
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _inside(root: Path, path: str) -> str:
    return os.path.relpath(path, root) if Path(path).is_relative_to(root) else path


def _stamp(path: Path) -> Stamp:
    told = path.stat()
    return Stamp(told.st_size, told.st_mtime_ns, _digest(path))


def _is_same(path: Path, stamp: Stamp) -> bool:
    try:
        told = path.stat()
    except OSError:
        return False
    if told.st_size != stamp.size:
        return False
    # The time first: of some hundred files at each start, only those with another time are read.
    return told.st_mtime_ns == stamp.changed or _digest(path) == stamp.digest


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
