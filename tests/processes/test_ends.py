"""However a supervisor ends, nobody is left behind."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from meristem.errors import OperationError
from meristem.supervision.guard import PATIENCE as ORPHANS
from meristem.supervision.ports import free_port
from meristem.supervision.succession import succeed
from meristem.system.addresses import run_directory
from meristem.system.plan import Plan, ProcessPlan, ProgramPlan
from meristem.system.state_directory import StateDirectory
from meristem.system.system_status import ReplicaStatus, SystemStatus

from .conftest import PATIENCE, ask, begun, gone, output, plan

# `exec` is left out on purpose: the program is then a shell and what the shell started
SLEEPER = ProgramPlan("sleeper", ("sh", "-c", "echo $$; sleep 1000; echo over"))
SHOP = plan(ProcessPlan("edge", (), ("web",)), ProcessPlan("search", ("search",), (), replicas=2), programs=(SLEEPER,))


class Run:
    """A supervisor in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, state: StateDirectory) -> None:
        self.process = process
        self.state = state

    async def shows(self, part: str) -> str:
        async with asyncio.timeout(PATIENCE):
            while part not in (line := (await self.process.stdout.readline()).decode()):
                assert line, f"it ended before it wrote {part!r}"
        return line

    def replicas(self) -> list[tuple[str, int]]:
        running = self.state.running()
        assert running is not None
        return [(each.process, each.pid) for each in running.replicas if each.pid is not None]


async def begin(directory: Path, shop: Plan = SHOP, port: int = 0, orphans: float = ORPHANS) -> Run:
    (directory / "plan.json").write_bytes(msgspec.json.encode(shop))
    script = str(Path(__file__).with_name("supervised.py"))
    process = await begun(sys.executable, script, str(directory), str(port), str(orphans))
    return Run(process, StateDirectory(directory, "shop"))


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    made = await begin(tmp_path)
    try:
        await made.shows("ready http")
        yield made
    finally:
        if made.process.returncode is None:
            made.process.kill()
        await output(made.process)


async def test_a_killed_supervisor_leaves_no_process_and_no_program(run: Run):
    pids = [pid for _, pid in run.replicas()]
    assert len(pids) == 4
    run.process.kill()

    await asyncio.gather(*map(gone, pids))


async def test_a_system_starts_again_where_its_supervisor_was_killed(run: Run, tmp_path: Path):
    pids = [pid for _, pid in run.replicas()]
    run.process.kill()
    await output(run.process)
    await asyncio.gather(*map(gone, pids))
    assert run.state.running() is None

    again = await begin(tmp_path)
    try:
        line = await again.shows("ready http")
        assert await ask(line.split()[-1])
    finally:
        again.process.terminate()
        await output(again.process)


async def test_sigterm_drains_everything_and_frees_what_was_held(run: Run):
    pids = [pid for _, pid in run.replicas()]
    run.process.terminate()
    rest = await output(run.process)

    assert run.process.returncode == 0
    assert rest.count(b"drained") == 3
    await asyncio.gather(*map(gone, pids))
    assert not run_directory(run.state.path, SHOP).exists()
    assert run.state.running() is None


async def test_a_request_in_flight_is_finished_first(run: Run):
    address = f"unix:{run_directory(run.state.path, SHOP)}/search-0.sock"
    held = asyncio.create_task(ask(address, "/hold"))
    await run.shows("holding")
    run.process.terminate()

    assert (await held).endswith("search-0")


async def test_a_second_signal_ends_at_once_what_does_not_end(run: Run):
    pids = dict(reversed(run.replicas()))
    os.kill(pids["search"], signal.SIGSTOP)  # it will never drain
    run.process.terminate()
    await run.shows("edge-0 | drained")
    run.process.terminate()

    async with asyncio.timeout(25):  # without the second signal it would have 35 s to end by itself
        await output(run.process)
    await asyncio.gather(*map(gone, pids.values()))


async def test_ending_while_it_starts_leaves_nothing(tmp_path: Path):
    (tmp_path / "search-1.slow").touch()
    starting = await begin(tmp_path)
    line = await starting.shows("search-1 | began")
    starting.process.terminate()
    rest = await output(starting.process)

    assert b"asked to end while starting" in rest
    assert b"edge-0" not in rest
    await gone(int(line.split()[-1]))


async def test_children_do_not_hear_the_terminals_interrupt_themselves(run: Run):
    groups = {os.getpgid(pid) for _, pid in run.replicas()}

    assert os.getpgid(run.process.pid) not in groups


async def test_what_a_killed_supervisor_leaves_ends_with_those_who_are_called_last(run: Run):
    pids = dict(reversed(run.replicas()))
    folder = run_directory(run.state.path, SHOP)
    kept = asyncio.create_task(ask(f"unix:{folder}/edge-0.sock", "/keep"))
    await run.shows("keeping")
    run.process.kill()
    with pytest.raises(OSError, match=r"."):
        while True:  # until the edge drains
            await ask(f"unix:{folder}/edge-0.sock")

    assert await ask(f"unix:{folder}/search-0.sock")  # what the edge is about to finish may still call it
    os.kill(pids["edge"], signal.SIGUSR1)
    assert await kept
    await asyncio.gather(*map(gone, pids.values()))


@pytest.mark.parametrize(
    ("held", "orphans"),
    [pytest.param("/spin", 600.0, id="by itself"), pytest.param("/grip", 1.0, id="by the guard")],
)
async def test_what_a_killed_supervisor_leaves_ends_though_its_event_loop_or_its_interpreter_is_held(
    tmp_path: Path, held: str, orphans: float
):
    (tmp_path / "brief").touch()  # an orphan has a second for its drain
    run = await begin(tmp_path, orphans=orphans)
    await run.shows("ready http")
    replicas = run.replicas()
    folder = run_directory(run.state.path, SHOP)
    asked = asyncio.create_task(ask(f"unix:{folder}/search-0.sock", held))
    await run.shows("held")

    run.process.kill()

    try:
        await asyncio.gather(*(gone(pid) for _, pid in replicas))
    except TimeoutError:
        for _, pid in replicas:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise
    with pytest.raises(OSError, match=r"."):
        await asked
    await output(run.process)


async def test_a_run_that_follows_a_killed_one_waits_until_that_has_answered_and_takes_its_port(tmp_path: Path):
    port = free_port()
    run = await begin(tmp_path, port=port)
    await run.shows("ready http")
    pids = dict(reversed(run.replicas()))
    socket = f"unix:{run_directory(run.state.path, SHOP)}/search-0.sock"
    kept = asyncio.create_task(ask(f"http://127.0.0.1:{port}", "/keep"))
    await run.shows("keeping")
    run.process.kill()

    again = await begin(tmp_path, port=port)
    try:
        said = await again.shows("the run before was killed; waiting")
        assert f"edge-0 (process {pids['edge']})" in said
        assert await ask(socket)
        os.kill(pids["edge"], signal.SIGUSR1)
        assert await kept
        line = await again.shows("ready http")
        assert line.split()[-1] == f"http://127.0.0.1:{port}"
        assert not {pid for _, pid in again.replicas()} & set(pids.values())
    finally:
        again.process.terminate()
        await output(again.process)
        await output(run.process)


async def test_a_run_that_is_ended_while_it_waits_removes_nothing_of_the_one_before(run: Run, tmp_path: Path):
    pids = dict(reversed(run.replicas()))
    folder = run_directory(run.state.path, SHOP)
    kept = asyncio.create_task(ask(f"unix:{folder}/edge-0.sock", "/keep"))
    await run.shows("keeping")
    run.process.kill()
    again = await begin(tmp_path)
    await again.shows("the run before was killed; waiting")
    again.process.terminate()
    rest = await output(again.process)

    assert b"asked to end while starting" in rest
    assert await ask(f"unix:{folder}/search-0.sock")
    os.kill(pids["edge"], signal.SIGUSR1)
    assert await kept


HOLDER = """
import os, signal, sys
print("holds", flush=True)
signal.pause()
"""


async def test_what_stands_still_of_a_run_before_is_killed_and_only_that(tmp_path: Path):
    state, folder = StateDirectory(tmp_path, "shop"), tmp_path / "run"
    state.prepare()
    assert state.presence.take()
    command = (sys.executable, "-c", HOLDER)
    held = {"pass_fds": [state.presence.descriptor], "stdout": asyncio.subprocess.PIPE}
    stuck = await asyncio.create_subprocess_exec(*command, env={**os.environ, "MERISTEM_RUN": str(folder)}, **held)
    other = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    rows = [ReplicaStatus("search", index, each.pid, "ready", 0, 0.0) for index, each in enumerate((stuck, other))]
    state.announce(SystemStatus(0, "", 0.0, tuple(rows)))
    for each in (stuck, other):
        await each.stdout.readline()
    stuck.send_signal(signal.SIGSTOP)
    state.presence.leave()
    said: list[str] = []
    follower = StateDirectory(tmp_path, "shop")
    follower.claim()
    try:
        await succeed(follower, folder, said.append, patience=0.2)

        assert await stuck.wait() == -signal.SIGKILL
        assert other.returncode is None
        assert str(stuck.pid) in said[-1]
        assert str(other.pid) not in said[-1]
    finally:
        follower.release()
        other.kill()
        await other.wait()


async def test_a_holder_that_nobody_knows_is_not_waited_for_without_end(tmp_path: Path):
    before, follower = StateDirectory(tmp_path, "shop"), StateDirectory(tmp_path, "shop")
    before.prepare()
    assert before.presence.take()

    with pytest.raises(OperationError, match="a process of an earlier run still holds .*/processes"):
        await succeed(follower, tmp_path / "run", lambda _: None, patience=0.1, killed=0.1)
    before.presence.leave()
