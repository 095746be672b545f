"""`meristem …` as a process of its own that starts in a third of the time: a fork of one that has imported all verbs.

For commands that end by themselves, one after the other. What is new to such a process is its folder, its environment,
its arguments and all that it does with them.
"""

import asyncio
import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.suites.command import LINE, SOURCE, Ended

ROOT = Path(__file__).parents[2]
IMPORTED = ("alembic.command", "meristem.cli.databases", "meristem.storage.sqlite.driver", "sqlalchemy.dialects.sqlite")


class ForkServer:
    """The process that forks, seen from the tests."""

    def __init__(self, process: subprocess.Popen[bytes], line: socket.socket, folder: Path) -> None:
        self._process = process
        self._line = line
        self._folder = folder
        self._answers = line.makefile("rb")
        self._turn = threading.Lock()

    async def run(self, *arguments: str, cwd: Path, environment: Mapping[str, str], patience: float) -> Ended:
        """What a command printed and how it ended; when `patience` seconds are over, it and the server are killed."""
        return await asyncio.to_thread(self.ran, *arguments, cwd=cwd, environment=environment, patience=patience)

    def ran(self, *arguments: str, cwd: Path, environment: Mapping[str, str], patience: float) -> Ended:
        """As `run`, for who has no event loop."""
        order = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
        out, err = self._folder / "out", self._folder / "err"
        with self._turn:
            self._line.settimeout(patience)
            try:
                self._line.sendall(json.dumps({**order, "out": str(out), "err": str(err)}).encode() + b"\n")
                answer = self._answers.readline()
            except TimeoutError:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise
            assert answer, f"the server of forks has ended: {err.read_text()}"
            return Ended(int(answer), out.read_text(), err.read_text())


@contextlib.contextmanager
def fork_server(folder: Path) -> Iterator[ForkServer]:
    """A server of forks; it ends with this block, or with this process."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "tests.suites.fork_server", str(theirs.fileno())]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True,
        pass_fds=[theirs.fileno(), LINE.reading],
    ) as process:  # fmt: skip
        theirs.close()
        server = ForkServer(process, ours, folder)
        try:
            yield server
        finally:
            server._answers.close()
            ours.close()  # which the server takes for its end


def serve(line: socket.socket) -> None:
    """Fork a process for each order; in that process, run the command."""
    from meristem.cli.main import VERBS  # noqa: PLC0415 - the tests themselves need it not

    for name in (*IMPORTED, *(f"meristem.cli.{module}" for module, _ in VERBS.values())):
        importlib.import_module(name)
    assert threading.active_count() == 1, "a thread would be missing in the processes that are forked"
    line.set_inheritable(False)  # what a command starts has nothing to do with it
    with line, line.makefile("rb") as orders:
        while order := orders.readline():
            pid = os.fork()
            if pid == 0:
                _become(**json.loads(order))
                runpy.run_module("meristem", run_name="__main__", alter_sys=True)
                sys.exit(0)
            line.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _become(arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> None:
    """Be as `python -m meristem ARGUMENTS` would be, started in this folder with this environment."""
    for descriptor, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(cwd)
    before = {*os.environ["PYTHONPATH"].split(os.pathsep), *sys.path[:1]}
    installed = [each for each in sys.path if each not in before]
    os.environ.clear()
    os.environ.update(environment)
    given = [each for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:] = [cwd, *given, *installed]
    sys.argv[1:] = arguments
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    tempfile.tempdir = None


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
