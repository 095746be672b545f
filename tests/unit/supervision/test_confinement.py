"""A process within its bounds: by the kernel where groups may be made, and without."""

import asyncio
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
    confinement = Confinement(f"meristem-test-{os.getpid()}", bounds, means)
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

    assert not [path for each in here.groups.values() for path in each.path.glob(f"meristem-test-{os.getpid()}*")]


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


async def test_without_groups_a_process_lets_others_go_first():
    child = a_child("import time; time.sleep(60)", Bounds(cpu=0.5), NONE)
    await child.start()
    assert child.pid is not None

    assert len(os.sched_getaffinity(child.pid)) == 1
    assert os.getpriority(os.PRIO_PROCESS, child.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    child.kill()
    await child.ended.wait()


def test_an_operator_is_told_how_bounds_are_kept_where_the_kernel_does_not():
    assert NONE.remark() == (
        "no control group may be made here (this test wants none): memory= is kept by a look every quarter of a second,"
        " cpu= by affinity and priority"
    )
    assert not Means({}).remark()


def _processor_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
