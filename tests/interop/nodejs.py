"""Packages of Node.js for tests: installed from a lock file, from npm's cache where it has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

FETCHING = ["--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"]


def lacking(what: str) -> NoReturn:
    """Skip the test; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have the packages of Node.js: {what}")
    pytest.skip(what)


def installed(source: Path, folder: Path, *, seconds: float) -> Path:
    """A copy of the folder `source` with its packages."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        lacking("node and npm are not installed")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    # No package needs a script of its own to be installed, and none is run.
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", *FETCHING]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        lacking(f"npm did not install {source.name} within {seconds:g} s; is its registry reachable?")
    if done.returncode:
        lacking(f"npm cannot install {source.name}: {done.stderr.strip()[-300:]}")
    return folder
