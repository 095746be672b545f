"""What computes runs in workers: they build the service, are killed when a call is over, and fail alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import Protocol

import pytest

from meristem import CallError, Code, Contract, Database, Identity, Secret, Service, WiringError, once, safe, using
from meristem.errors import ContractError
from meristem.runtime.cpu_link import packed
from meristem.runtime.cpu_pool import WAITING, workers_of
from meristem.services.service import describe
from meristem.system.placement import Placement
from meristem.system.placement_tables import ProcessTable
from meristem.testing import running
from tests.unit.runtime.computing import Scoring, ScoringService, TooHard, system

TWO = Placement({"main": ProcessTable(("*",), workers=2)})


@pytest.fixture
async def app():
    async with running(system, placement=TWO, settings={"scoring": {"factor": 3}}) as started:
        yield started


def pool(app):
    return app.instances["scoring"].pool


async def test_a_call_is_answered_by_a_worker_with_the_settings_of_the_service(app):
    scoring = app.client(Scoring)
    made = ScoringService.made

    assert await scoring.score(14) == 42
    pid, *_ = await scoring.about()
    assert int(pid) in pool(app).pids
    assert len(pool(app).pids) == 2
    assert ScoringService.made == made  # no model is loaded where nothing is computed


async def test_a_worker_has_the_secrets_of_its_settings_which_no_other_message_carries():
    async with running(system, settings={"scoring": {"licence": "0123456789"}}) as app:
        assert await app.client(Scoring).fail("secret") == 10

    with pytest.raises(TypeError, match="a Secret is not pickled"):
        packed(Secret("0123456789"))


async def test_what_a_method_prints_is_written_though_its_worker_is_killed(capfd):
    async with running(system) as app:
        await app.client(Scoring).about()

    assert "printed by a method" in capfd.readouterr().out


async def test_user_trace_and_logs_are_those_of_the_call(app, caplog):
    caplog.set_level("INFO")
    with using(user=Identity("ada")):
        _, user, trace = await app.client(Scoring).about()

    assert user == "ada"
    assert len(trace) == 32
    assert "asked by Identity(subject='ada'" in caplog.text


async def test_a_computation_without_end_is_killed_at_its_deadline_and_replaced(app):
    scoring, before = app.client(Scoring), pool(app).pids
    with pytest.raises(CallError) as late:
        await scoring.never()

    assert late.value.code is Code.DEADLINE_EXCEEDED
    async with asyncio.timeout(30):
        while len(pool(app).pids) < 2 or pool(app).pids == before:
            await asyncio.sleep(0.02)
    assert len(before & pool(app).pids) == 1
    assert await scoring.score(1) == 3


async def test_the_loop_turns_while_workers_compute(app):
    scoring = app.client(Scoring)
    busy = [asyncio.create_task(scoring.busy(0.5)) for _ in range(2)]
    await asyncio.sleep(0.05)
    turns = 0
    while not all(each.done() for each in busy):
        await asyncio.sleep(0.01)
        turns += 1

    assert turns > 5
    assert len({each.result() for each in busy}) == 2


async def test_faults_and_refusals_arrive_and_a_bug_is_internal_with_the_workers_traceback_in_the_log(app, caplog):
    scoring = app.client(Scoring)
    with pytest.raises(TooHard) as fault:
        await scoring.fail("fault")
    with pytest.raises(CallError) as refused:
        await scoring.fail("refuse")
    with pytest.raises(CallError) as bug:
        await scoring.fail("bug")
    with pytest.raises(CallError) as odd:
        await scoring.fail("odd")

    assert fault.value.number == 7
    assert [each.value.code for each in (refused, bug, odd)] == [Code.OUT_OF_RANGE, Code.INTERNAL, Code.INTERNAL]
    assert 'raise ValueError("a bug in the model")' in caplog.text
    assert await scoring.score(2) == 6


async def test_a_worker_that_dies_fails_its_call_alone(app):
    scoring = app.client(Scoring)
    with pytest.raises(CallError) as died:
        await scoring.fail("die")

    assert died.value.code is Code.UNAVAILABLE
    assert await scoring.score(2) == 6
    for pid in pool(app).pids:
        os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        assert await scoring.score(3) == 9


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("two arguments", "RuntimeError: _OfTwoError: first and second"),
        ("cancelled", "RuntimeError: CancelledError"),
        ("exit", "RuntimeError: SystemExit: 3"),
        ("unsendable", "fail: what it returns, a function, can't be sent from its worker"),
    ],
)
async def test_what_can_not_travel_is_internal_told_as_what_it_is_and_costs_no_worker(app, caplog, how, told):
    before = pool(app).pids
    with pytest.raises(CallError) as error:
        await app.client(Scoring).fail(how)

    assert error.value.code is Code.INTERNAL
    assert told in caplog.text
    assert pool(app).pids == before
    assert [await app.client(Scoring).score(each) for each in (1, 2, 3)] == [3, 6, 9]


async def test_a_record_that_can_not_be_read_leaves_each_answer_with_its_own_call(app, caplog):
    scoring = app.client(Scoring)

    assert [await scoring.fail("log") for _ in range(3)] == [4, 4, 4]
    assert [await scoring.score(each) for each in (1, 2, 3)] == [3, 6, 9]
    assert "what a worker has logged can't be written" in caplog.text


async def test_a_worker_that_dies_is_noticed_though_what_it_forked_lives_on(app):
    async with asyncio.timeout(30):
        with pytest.raises(CallError) as died:
            await app.client(Scoring).fail("fork")

    assert died.value.code is Code.UNAVAILABLE


async def test_calls_wait_for_a_worker_and_too_many_are_refused(app):
    scoring = app.client(Scoring)
    calls = [asyncio.create_task(scoring.busy(0.3)) for _ in range(2 + 2 * WAITING + 5)]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in ended if isinstance(each, CallError)]

    assert {each.code for each in refused} == {Code.RESOURCE_EXHAUSTED}
    assert 1 <= len(refused) <= 5
    assert not any(each.may_have_happened for each in refused)


@pytest.mark.parametrize("call", ["busy(60)", "fail('backtrack')"])
async def test_workers_end_with_the_process_that_has_started_them_whatever_they_compute(call):
    code = (
        "import asyncio\n"
        "from meristem.testing import running\n"
        "from tests.unit.runtime.computing import Scoring, system\n"
        "async def main():\n"
        "    async with running(system) as app:\n"
        f"        asyncio.ensure_future(app.client(Scoring).{call})\n"
        "        await asyncio.sleep(0.2)\n"
        "        print(*app.instances['scoring'].pool.pids, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert process.stdout is not None
    pids = [int(each) for each in (await asyncio.wait_for(process.stdout.readline(), 60)).split()]
    process.kill()
    await process.wait()

    until = time.monotonic() + 20
    while (left := [pid for pid in pids if _lives(pid)]) and time.monotonic() < until:
        await asyncio.sleep(0.05)
    assert pids
    assert not left


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - a line
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_service_that_computes_has_neither_database_nor_clients():
    class Sums(Contract, Protocol, package="sums.v1"):
        @safe(cpu=True)
        async def add(self, a: int, b: int) -> int: ...

    class Keeping(Sums, Service):
        def __init__(self, database: Database) -> None: ...

        async def add(self, a: int, b: int) -> int:
            return a + b

    class Calling(Sums, Service):
        def __init__(self, scoring: Scoring) -> None: ...

        async def add(self, a: int, b: int) -> int:
            return a + b

    with pytest.raises(WiringError, match=r"Keeping asks for Database, and Sums.add is cpu=True.*service of its own"):
        describe(Keeping)
    with pytest.raises(WiringError, match="Calling asks for Scoring"):
        describe(Calling)


def test_what_keeps_its_answers_does_not_compute_in_a_worker():
    with pytest.raises(ContractError, match="@once keeps answers in a database, which a worker has not"):

        class Wrong(Contract, Protocol, package="wrong.v1"):
            @once(cpu=True)
            async def add(self, a: int) -> int: ...


async def test_a_class_that_no_worker_can_import_is_refused_at_start():
    class Hidden(ScoringService, name="hidden"):
        """It stands in a function."""

    from meristem import System  # noqa: PLC0415

    with pytest.raises(WiringError, match="define it at the top of a module"):
        async with running(System("hidden", services=[Hidden])):
            """Not reached."""


@pytest.mark.parametrize(("wanted", "processors", "count"), [(3, None, 3), (3, 0.5, 3), (None, 0.5, 1), (None, 1.0, 1)])
def test_there_are_as_many_workers_as_are_wanted_or_as_processors_may_be_used(wanted, processors, count):
    assert workers_of(wanted, processors) == count
