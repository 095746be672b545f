"""The folder of an app that has one of its own: it works there, and its modules are imported from there first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from meristem.config.project import folders_of, is_own
from meristem.errors import ConfigurationError


def enter(folder: Path, root: Path) -> None:
    """Have this process work in an app's folder; what it imports is looked for there, in the project's `root` last.

    Modules of the project that have been imported and whose names stand for the app's own, such as `app`, are set
    aside: who has imported them goes on with them. Raises ConfigurationError where there is no such folder.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        raise ConfigurationError(f"cannot work in the app's folder {folder}: {error.strerror}") from None
    own, project = ([str(each) for each in folders_of(place)] for place in (folder, root))
    sys.path[:] = [*own, *(each for each in sys.path if each not in (*own, *project)), *project]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and is_own(file) and _stands_in(name.partition(".")[0], own) and not _is_below(file, own):
            del sys.modules[name]


def _stands_in(module: str, folders: list[str]) -> bool:
    return any(Path(each, f"{module}.py").is_file() or Path(each, module).is_dir() for each in folders)


def _is_below(file: str, folders: list[str]) -> bool:
    return any(Path(file).is_relative_to(each) for each in folders)
