"""mypy as a user runs it: strict, with nothing of this project's own configuration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PATIENCE = 100.0  # seconds for a checker whose cache is empty

runs_mypy = pytest.mark.xdist_group("mypy")
"""For tests that run it: they share a cache, which one at a time fills."""


def mypy(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """Check files of a folder. What it knows of the package it takes from the cache of `make lint`, or leaves there."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(ROOT / ".mypy_cache")]
    return subprocess.run(
        [*command, *files],
        cwd=folder,
        env={**os.environ, "MYPYPATH": f"{SOURCE}:{folder}", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
