"""What the documentation shows works: its Python runs, its commands run, its placements can be read."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import pytest

from meristem.cli.main import VERBS, meristem
from meristem.supervision.lifeline import LIFELINE, Lifeline
from meristem.system.placement import Placement
from tests.suites.command import Ended
from tests.suites.fork_server import ForkServer, fork_server
from tests.suites.type_checkers import SOURCE, mypy, runs_mypy

from .pages import ROOT, Block, Reader, as_module, blocks, pages, write

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVED = (
    "README.md",
    "docs/start.md",
    "docs/new.md",
    "docs/hosting.md",
    "docs/placement.md",
    "docs/http-api.md",
    "docs/connect.md",
    "docs/cli.md",
    "docs/gateway.md",
)
"""Pages whose commands are run too, against a service that runs."""
TYPED = ("README.md", "docs/start.md", "docs/contracts.md", "docs/services.md", "docs/sagas.md", "docs/connect.md")
ADDRESS, OPERATORS = "127.0.0.1:8000", "127.0.0.1:8001"
PATIENCE = 60.0  # seconds for what takes one on an idle machine
LINE = Lifeline()  # open as long as this process lives: what it starts ends with it, however it ends


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in which a reader tries things; what is imported from it is forgotten afterwards."""
    for file in (ROOT / "examples/quickstart").glob("*.py"):
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)) or name.startswith(
            "page_"
        ):
            del sys.modules[name]


@pytest.mark.parametrize("page", [each for each in pages() if each not in SERVED and blocks(each, "python")])
def test_the_python_of_a_page_runs(page: str, folder: Path) -> None:
    Reader(page, folder).run(blocks(page, "python"))


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """What commands are forked from that end by themselves: most of their time would be imports."""
    with fork_server(tmp_path_factory.mktemp("forks")) as server:
        yield server


@pytest.mark.timeout(300)  # a page has up to two dozen commands, each a process that has a minute
@pytest.mark.parametrize("page", SERVED)
def test_a_page_that_starts_a_service_works_step_by_step(page: str, folder: Path, forks: ForkServer) -> None:
    """Commands and Python in the order in which the reader meets them, at a port that is free."""
    with socket.socket() as kept, socket.socket() as operators:
        for each in (kept, operators):  # nobody else is given this port while it is bound; a server may listen on it
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        _step_by_step(page, kept.getsockname()[1], operators.getsockname()[1], folder, forks)


def _step_by_step(page: str, port: int, operators: int, folder: Path, forks: ForkServer) -> None:
    reader, running = Reader(page, folder), []
    where = ["--port", str(port), "--operator", f"tcp://127.0.0.1:{operators}"]
    try:
        for block in blocks(page, "python", "sh", "toml"):
            text = block.text.replace(ADDRESS, f"127.0.0.1:{port}").replace(OPERATORS, f"127.0.0.1:{operators}")
            local = block._replace(text=text)
            if block.language == "python":
                reader.run([local])
            elif block.language == "toml" and block.file is not None:
                write(local, folder)
            elif block.language == "sh" and block.runs:
                running += [started for line in _commands(local.text) if (started := _run(line, where, folder, forks))]
    finally:
        for each in running:
            _end(each)


@pytest.mark.parametrize("block", [b for page in pages() for b in blocks(page, "toml")], ids=lambda block: block.where)
def test_a_placement_can_be_read(block: Block) -> None:
    content = tomllib.loads(block.text)

    if "tool" not in content and "project" not in content:
        msgspec.convert(content, Placement)


@pytest.mark.parametrize("block", [b for page in pages() for b in blocks(page, "sh")], ids=lambda block: block.where)
def test_a_command_has_the_verbs_and_options_that_are_shown(block: Block) -> None:
    for line in _commands(block.text):
        words = shlex.split(line, comments=True)
        if words[0] != "meristem":
            continue
        command, rest = _resolve(words[1:])
        known = {option for parameter in command.params for option in parameter.opts}
        shown = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert shown <= known, line


@runs_mypy
def test_mypy_accepts_the_examples(folder: Path) -> None:
    found = mypy(folder, *_checked(folder))
    assert found.returncode == 0, found.stdout + found.stderr


def test_pyright_accepts_the_examples(folder: Path) -> None:
    config = {"include": _checked(folder), "extraPaths": [str(SOURCE), "."]}
    (folder / "pyrightconfig.json").write_text(msgspec.json.encode(config).decode())
    if shutil.which("node") is None:  # it would download it, and nothing would bound that
        missing = "Node.js, on which pyright runs, is not installed (Debian: apt-get install nodejs)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    # it would also ask the package index whether there is a newer one
    quiet = {"NO_COLOR": "1", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    found = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
        cwd=folder,
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def _checked(folder: Path) -> list[str]:
    """The files that a type checker reads: a user may run either."""
    return ["orders.py", *(_typed(page, folder).name for page in TYPED)]


def _typed(page: str, folder: Path) -> Path:
    examples = blocks(page, "python")
    for block in examples:
        if block.file is not None:
            write(block, folder)
    path = folder / f"page_{Path(page).stem.lower()}.py"
    path.write_text(as_module(examples))
    return path


def _commands(text: str) -> list[str]:
    """The commands of a block, one a line unless it ends in a backslash."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and the words that are left."""
    assert words, "meristem without a verb"
    assert words[0] in VERBS or words[0].startswith("--"), words[0]
    group: click.Command = meristem
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        found = group.get_command(click.Context(group), words[0])
        assert found is not None, words[0]
        group, words = found, words[1:]
    return group, words


def _run(line: str, where: list[str], folder: Path, forks: ForkServer) -> subprocess.Popen[str] | None:
    """Run a command; what follows `# ` must be in what it prints. A server is left running and returned."""
    command, _, expected = line.partition("  # ")
    program, *words = shlex.split(command)
    if program not in {"meristem", "curl"}:
        return None
    if program == "meristem" and words[0] == "run":
        return _serve([sys.executable, "-m", "meristem", *words, *where], folder)
    if program == "meristem":
        done = forks.ran(*words, cwd=folder, environment=os.environ, patience=PATIENCE)
    else:
        silent = [program, "--silent", "--show-error", "--noproxy", "*", *words]
        curl = subprocess.run(silent, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
        done = Ended(curl.returncode, curl.stdout, curl.stderr)
    assert done.code == 0, f"{line}\n{done.out}{done.err}"
    assert re.sub(r"\s", "", expected) in re.sub(r"\s", "", done.out), f"{line}\n{done.out}{done.err}"
    return None


def _serve(words: list[str], folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {LIFELINE: str(LINE.reading)}
    process = subprocess.Popen(
        words, cwd=folder, env=environment, pass_fds=[LINE.reading], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    patience = threading.Timer(PATIENCE, process.kill)  # then its output ends
    patience.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if " runs at " in line:
            patience.cancel()
            return process
    patience.cancel()
    _end(process)
    raise AssertionError(f"{words} did not start:\n{''.join(lines)}")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
