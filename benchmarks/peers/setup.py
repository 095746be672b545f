"""Makes the peers ready that the framework's own environment does not hold; says why where that cannot be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
VENV = HERE.parent / ".peers-venv"
PYTHON = VENV / "bin" / "python"
MOLECULER = HERE / "moleculer"
PATIENCE = 240.0


def missing(*modules: str) -> str | None:
    """Why a peer of this environment is skipped."""
    absent = [each for each in modules if find_spec(each) is None]
    return f"{', '.join(absent)} is not installed" if absent else None


def no_faststream() -> str | None:
    """Why FastStream is skipped."""
    if shutil.which("nats-server") is None:
        return "there is no nats-server on this machine"
    return no_peer("faststream.nats")


def no_peer(module: str) -> str | None:
    """Install the peers of `requirements.txt` into an environment of their own; why one of them is not there."""
    if _imports(module):
        return None
    try:
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True, capture_output=True, timeout=PATIENCE)
        install = [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", HERE / "requirements.txt"]
        subprocess.run(install, check=True, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as failure:
        return f"{module} could not be installed: {_reason(failure)}"
    return None if _imports(module) else f"{module} was installed and cannot be imported"


def _imports(module: str) -> bool:
    if not PYTHON.exists():
        return False
    command = [PYTHON, "-c", f"import {module}, uvloop"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def no_moleculer() -> str | None:
    """Install Moleculer beside its program; why there is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "there is no node and npm on this machine"
    if (MOLECULER / "node_modules" / "moleculer").is_dir():
        return None
    install = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
    try:
        subprocess.run(install, cwd=MOLECULER, check=True, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as failure:
        return f"moleculer could not be installed: {_reason(failure)}"
    return None


def no_nameko() -> str:
    """Why nameko is never run."""
    return (
        "nameko 2.14 runs on eventlet, needs a RabbitMQ of its own, and was 1.4 times slower than FastAPI + httpx "
        "when it was tried; a broker is not started for it"
    )


def _reason(failure: Exception) -> str:
    said = getattr(failure, "stderr", None)
    last = said.decode(errors="replace").strip().splitlines()[-1:] if isinstance(said, bytes) else []
    return last[0] if last else type(failure).__name__
