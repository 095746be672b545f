"""Another interpreter of this machine, and packages that are older than those of the tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

OLDER: Final = "3.7"  # of idna
REQUIREMENTS: Final = Path(__file__).with_name("older.txt")
KEPT: Final = Path(__file__).parents[2] / ".meristem" / "environments"  # from one run of the tests to the next


def _another() -> tuple[str, str]:
    """Version and path of a supported interpreter that is not the one of the tests; theirs where there is no other."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in ("3.13", "3.12", "3.11"):
        places = (shutil.which(f"python{version}"), *(str(each) for each in pyenv.glob(f"{version}.*/bin/python")))
        for python in filter(None, places):
            if not sys.version.startswith(f"{version}.") and _runs(python):
                return version, python
    return f"{sys.version_info.major}.{sys.version_info.minor}", sys.executable


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", "import venv, ssl"], capture_output=True, check=False).returncode == 0


ANOTHER: Final = _another()
