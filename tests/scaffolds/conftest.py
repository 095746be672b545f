"""What `meristem new` writes, used as its reader uses it: by make, by its framework's own command, and by Meristem."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from meristem.scaffold.new_project import new_app, new_system
from tests.suites.command import SOURCE, begin
from tests.suites.type_checkers import ROOT

BIN = Path(sys.executable).parent
PATIENCE = 1700.0  # seconds for what takes two minutes on an idle machine
ADDRESS = r"http://[\d.]+:[1-9]\d*"
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE_"))},
    "PYTHONPATH": str(SOURCE),
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
    "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache"),  # what `make lint` knows of the package need not be found out again
}


class Project:
    """A project that was just written, and the packages of these tests in place of its own `.venv`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, *verbs: str, **variables: str) -> str:
        """What `make` prints for some verbs; the project's environment counts as made."""
        return self.run("make", "-s", "-o", ".venv/.installed", f"BIN={BIN}", *verbs, **variables)

    def run(self, *words: str, **variables: str) -> str:
        """What a command prints in the project's folder; it must end well."""
        done = subprocess.run(
            words, cwd=self.folder, env={**ENVIRONMENT, **variables}, capture_output=True, text=True, check=False,
            timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def new(tmp_path: Path) -> Callable[[str, str], Project]:
    """`new("flask", "blog")` writes an app, `new("system", "shop")` a system with the service `notes`."""

    def write(kind: str, name: str) -> Project:
        folder = tmp_path / name
        new_system(name, "notes", folder) if kind == "system" else new_app(name, kind, folder)
        return Project(folder)

    return write


@pytest.fixture
def port() -> Iterator[str]:
    """A port for a server that can't say which one it was given: nobody else is given it while it is bound here."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield str(kept.getsockname()[1])


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., AsyncIterator[httpx.AsyncClient]]]:
    """`await serve(project, "-m", "quart", "run", …)` gives a client of what the program says that it listens on."""
    begun, clients = [], []

    async def start(
        project: Project, *program: str, interpreter: str = sys.executable, **variables: str
    ) -> httpx.AsyncClient:
        process = await begin(
            cwd=project.folder, environment={**ENVIRONMENT, **variables}, program=program,
            stderr=asyncio.subprocess.STDOUT, interpreter=interpreter,
        )  # fmt: skip
        begun.append(process)
        # Quart says where it listens a moment before it does.
        transport = httpx.AsyncHTTPTransport(retries=8)
        client = httpx.AsyncClient(base_url=await _address(process), timeout=PATIENCE, transport=transport)
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.aclose()
    for process in begun:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), PATIENCE)


async def _address(process: asyncio.subprocess.Process) -> str:
    """The address that a server prints when it listens."""
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(PATIENCE):
        while not (found := re.search(ADDRESS, text)):
            line = await process.stdout.readline()
            assert line, f"it ended before it listened:\n{text}"
            text += line.decode()
    return found[0]
