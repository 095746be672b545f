"""What runs ends when it is asked to, at any moment of its life and in one process as in several."""

import asyncio
import os
import pty
import signal
import sys
from pathlib import Path

import pytest

from .conftest import PATIENCE

LATE = """
import asyncio, time
from typing import Protocol
from meristem import Contract, Service, safe

class Late(Contract, Protocol, package="late.v1"):
    @safe
    async def late(self) -> int: ...

class LateService(Late, Service):
    async def start(self) -> None:
        print("begins", flush=True)
        WAIT
    async def late(self) -> int:
        return 1
"""
WAITS = {
    "a start that holds the event loop": "time.sleep(3600)",
    "a start that swallows its cancellation": """
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                print("stays", flush=True)""",
}
SPLIT = '[processes]\nmain = ["*"]\n'


def late(project: Path, wait: str) -> None:
    (project / "late.py").write_text(LATE.replace("WAIT", wait))
    (project / "split.toml").write_text(SPLIT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("placement", [[], ["--placement", "split.toml"]], ids=["one process", "processes"])
async def test_one_signal_ends_what_still_starts(start, project: Path, placement: list[str], number: int):
    late(project, "await asyncio.sleep(3600)")
    running = await start("run", "late.py", "--port", "0", *placement)
    await running.shows("begins")
    running.process.send_signal(number)

    assert await running.ended() == 0
    assert "asked to end while starting" in running.text
    assert "Traceback" not in running.text


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
@pytest.mark.parametrize("placement", [[], ["--placement", "split.toml"]], ids=["one process", "processes"])
async def test_a_second_signal_ends_what_still_starts_at_once(start, project: Path, placement: list[str], wait: str):
    late(project, wait)
    running = await start("run", "late.py", "--port", "0", *placement)
    await running.shows("begins")
    running.process.terminate()
    await asyncio.sleep(0.2)  # two that come together are one
    running.process.terminate()

    async with asyncio.timeout(3 if not placement else 10):
        assert await running.ended() == 128 + signal.SIGTERM


@pytest.mark.parametrize("placement", [[], ["--placement", "split.toml"]], ids=["one process", "processes"])
async def test_a_signal_ends_what_is_still_imported(start, project: Path, placement: list[str]):
    (project / "late.py").write_text(
        "import os, sys, time\nprint('imports', os.getpid(), file=sys.stderr, flush=True)\ntime.sleep(3600)\n"
    )
    (project / "split.toml").write_text(SPLIT)
    running = await start("run", "late.py", *placement)
    pid = int(await running.shows("imports "))
    running.process.terminate()

    assert await running.ended() == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("placement", [[], ["--placement", "split.toml"]], ids=["one process", "processes"])
async def test_a_terminal_that_closes_ends_the_run(project: Path, environment, placement: list[str]):
    late(project, "pass")
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import fcntl, os, sys, termios\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'meristem', *sys.argv[1:]])",
        "run", "late.py", "--port", "0", *placement,
        cwd=project, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    text = b""
    async with asyncio.timeout(PATIENCE):
        while b"late runs at" not in text:
            text += await asyncio.to_thread(os.read, ours, 4096)
    os.close(ours)

    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0


async def test_nohup_keeps_what_runs_from_the_hangup(start, project: Path):
    late(project, "pass")
    (project / "nohup.py").write_text(
        "import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'meristem', *sys.argv[1:]])\n"
    )
    running = await start("run", "late.py", "--port", "0", program="nohup.py")
    await running.shows("late runs at")
    running.process.send_signal(signal.SIGHUP)
    running.process.send_signal(signal.SIGTERM)

    assert await running.ended() == 0
    assert "Stopped." in running.text


async def test_a_migration_that_takes_long_says_so_and_what_became_of_it_when_it_is_interrupted(
    start, meristem, project: Path
):
    assert (await meristem("migrate", "--new", "first", "--service", "orders")).code == 0
    [first] = (project / "migrations" / "versions").glob("*.py")
    wait = "    print('begins', flush=True)\n    while not Path('go').exists():\n        time.sleep(0.05)\n"
    text = first.read_text().replace("    op.create_table", f"{wait}    op.create_table", 1)
    first.write_text(text.replace("import sqlalchemy", "import time\nfrom pathlib import Path\nimport sqlalchemy", 1))

    running = await start("migrate", "--service", "orders")
    await running.shows("begins")
    await running.shows("migrating orders … ")
    running.process.send_signal(signal.SIGINT)
    (project / "go").touch()

    assert await running.ended() == 128 + signal.SIGINT
    assert "interrupted: each revision has happened whole or not at all; `meristem migrate --check`" in running.text
