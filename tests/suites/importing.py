"""Modules of a folder that a test made: imported from there, and forgotten, so that others may have their names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Within the block, modules are looked for in `folder` first."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        own = {each.stem for each in folder.iterdir()}
        for name in [each for each in sys.modules if each.partition(".")[0] in own]:
            del sys.modules[name]
