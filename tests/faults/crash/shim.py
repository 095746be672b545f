"""Compiles what kills: a library that is loaded before all others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("shim.c")


def missing() -> str | None:
    """What this machine lacks for it."""
    if sys.platform != "linux":
        return "calls of the kernel are intercepted on Linux only"
    return None if shutil.which("cc") else "there is no C compiler (cc)"


def compiled(folder: Path) -> Path:
    """The library, made in a folder."""
    made = folder / "shim.so"
    subprocess.run(
        ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl"], check=True
    )
    return made
