"""A process within its bounds: by the kernel where groups may be made, and without."""

import asyncio
import contextlib
import ctypes
import errno
import os
import sys
from pathlib import Path

import pytest

from meristem.supervision.child import Child, Command
from meristem.supervision.confinement import Confinement, Means
from meristem.system.resource_bounds import Bounds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's means are Linux's")
LIMIT = 64 << 20
LEAK = """
import time
held = []
while len(held) < 1000:
    held.append(bytearray(4 << 20))
    for i in range(0, 4 << 20, 4096): held[-1][i] = 1
    time.sleep(0.02)
"""
NONE = Means({}, "this test wants none")


@pytest.fixture(params=["by the kernel", "by looking"])
def means(request: pytest.FixtureRequest) -> Means:
    if request.param == "by looking":
        return NONE
    here = Means.here()
    if here.problem:
        pytest.skip(here.problem)
    return here


def a_child(program: str, bounds: Bounds, means: Means) -> Child:
    confinement = Confinement("test", bounds, means)
    command = [sys.executable, "-c", program]
    return Child(
        Command(command, environment=os.environ, directory=Path.cwd(), confinement=confinement), lambda _: None
    )


async def test_a_process_over_its_memory_limit_dies_and_the_limit_is_named(means: Means):
    child = a_child(LEAK, Bounds(memory=LIMIT), means)

    await child.start()
    await asyncio.wait_for(child.ended.wait(), 60)

    assert child.end_told() == "killed by SIGKILL: over its memory limit of 64 MiB, memory= in the placement"


async def test_a_process_within_its_limit_ends_as_it_likes(means: Means):
    child = a_child("raise SystemExit(3)", Bounds(memory=LIMIT, cpu=0.5), means)

    await child.start()
    await asyncio.wait_for(child.ended.wait(), 60)

    assert child.end_told() == "exit code 3"


async def test_what_is_killed_for_another_reason_is_not_blamed_on_memory(means: Means):
    child = a_child("import time; time.sleep(60)", Bounds(memory=LIMIT), means)

    await child.start()
    child.kill()
    await asyncio.wait_for(child.ended.wait(), 60)

    assert child.end_told() == "killed by SIGKILL"


async def test_groups_are_gone_with_their_processes_and_with_what_those_leave_behind():
    here = Means.here()
    if here.problem:
        pytest.skip(here.problem)
    leaves_one = "import os, time; os.fork() or time.sleep(600)"
    child = a_child(leaves_one, Bounds(memory=LIMIT, cpu=0.5), here)
    await child.start()
    await asyncio.wait_for(child.ended.wait(), 60)

    assert not [path for each in here.groups.values() for path in each.path.glob(f"meristem-{os.getpid()}-*")]


async def test_what_a_killed_supervisor_left_is_given_up_by_the_next_run_and_nothing_else():
    here = Means.here()
    if here.problem:
        pytest.skip(here.problem)
    parent = here.groups["memory"]
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    sleeper = await asyncio.create_subprocess_exec("sleep", "600")
    names = {
        "left": f"meristem-{gone.pid}-shop-documents-0",
        "inhabited": f"meristem-{gone.pid}-shop-rest-0",
        "of one that lives": f"meristem-{os.getpid()}-shop-rest-0",
        "of somebody else": f"garden-{gone.pid}-shop",
    }
    made = {what: parent.path / name for what, name in names.items()}
    try:
        for each in made.values():
            each.mkdir()
        (made["inhabited"] / "cgroup.procs").write_text(str(sleeper.pid))

        here.remove_left()

        assert {what for what, each in made.items() if each.exists()} == made.keys() - {"left"}
    finally:
        sleeper.kill()
        await sleeper.wait()
        async with asyncio.timeout(60):
            while left := [each for each in made.values() if each.exists()]:
                for each in left:
                    with contextlib.suppress(OSError):  # the kernel takes a moment to bury what was killed
                        each.rmdir()
                await asyncio.sleep(0.05)


async def test_a_spinning_process_gets_its_share_of_a_processor():
    here = Means.here()
    if here.problem:
        pytest.skip(here.problem)
    child = a_child("while True: pass", Bounds(cpu=0.1), here)
    await child.start()
    pid = child.pid
    before = _processor_seconds(pid)
    await asyncio.sleep(1.5)
    used = _processor_seconds(pid) - before
    child.kill()
    await child.ended.wait()

    assert used < 0.4  # 0.15 and what the kernel's grain adds; without a bound as much as the machine has to give


async def test_a_process_with_a_share_lets_who_wakes_go_first_and_so_does_all_that_it_starts():
    here = Means.here()
    if "cpu" not in here.groups:
        pytest.skip(here.problem)
    # It is told once it runs, so it waits for that: on a full machine it would be earlier.
    told = "while os.sched_getscheduler(0) != os.SCHED_BATCH: time.sleep(0.01)"
    code = f"import os, subprocess, time\n{told}\nsubprocess.run(['sleep', '60'])"
    child = a_child(code, Bounds(cpu=0.5), here)
    await child.start()
    assert child.pid is not None
    async with asyncio.timeout(60):
        while not (started := _children(child.pid)):
            await asyncio.sleep(0.01)

    assert [os.sched_getscheduler(pid) for pid in (child.pid, *started)] == [os.SCHED_BATCH] * 2
    child.kill()
    await child.ended.wait()


@pytest.mark.parametrize("refused", ["EPERM", "EINVAL", "ENOSYS", "E2BIG"])
async def test_a_kernel_that_refuses_it_costs_nothing_else(monkeypatch: pytest.MonkeyPatch, refused: str):
    class Refusing:
        def syscall(self, *_: object) -> int:
            ctypes.set_errno(getattr(errno, refused))
            return -1

    here = Means.here()
    if "cpu" not in here.groups:
        pytest.skip(here.problem)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Refusing())
    child = a_child("raise SystemExit(3)", Bounds(cpu=0.5), here)

    await child.start()
    await asyncio.wait_for(child.ended.wait(), 60)

    assert child.end_told() == "exit code 3"


async def test_a_process_with_a_share_is_not_starved_by_busy_neighbours():
    """Judged beside a neighbour without a bound."""
    here = Means.here()
    if "cpu" not in here.groups:
        pytest.skip(here.problem)
    spin = [sys.executable, "-c", "while True: pass"]
    of_no_bound = Command(spin, environment=os.environ, directory=Path.cwd())
    neighbours = [Child(of_no_bound, lambda _: None) for _ in range(os.cpu_count() or 1)]
    child = a_child("while True: pass", Bounds(cpu=0.25), here)
    for each in (*neighbours, child):
        await each.start()
    pids = [each.pid for each in (*neighbours, child)]
    before = [_processor_seconds(pid) for pid in pids]
    async with asyncio.timeout(60):
        while _processor_seconds(pids[0]) - before[0] < 2.0:
            await asyncio.sleep(0.05)
    used = [_processor_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]
    for each in (*neighbours, child):
        each.kill()
        await each.ended.wait()

    # Its weight is a quarter of a neighbour's; near nothing would mean that going behind cost it its share.
    assert used[-1] > 0.05 * max(used[:-1]), used


async def test_without_groups_a_process_lets_others_go_first():
    child = a_child("import time; time.sleep(60)", Bounds(cpu=0.5), NONE)
    await child.start()
    assert child.pid is not None

    assert len(os.sched_getaffinity(child.pid)) == 1
    nice = os.getpriority(os.PRIO_PROCESS, child.pid)
    assert nice > os.getpriority(os.PRIO_PROCESS, 0)
    assert _niceness_of_its_group(child.pid) in {nice, None}
    child.kill()
    await child.ended.wait()


def test_an_operator_is_told_how_bounds_are_kept_where_the_kernel_does_not():
    assert NONE.remark() == (
        "no control group may be made here (this test wants none): memory= is kept by a look every quarter of a second,"
        " cpu= by affinity and priority"
    )
    assert not Means({}).remark()


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _niceness_of_its_group(pid: int) -> int | None:
    group = Path(f"/proc/{pid}/autogroup")
    return int(group.read_text().split()[-1]) if group.exists() else None


def _processor_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
