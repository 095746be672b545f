"""The operators' contract on sagas: told by each process of its services, merged for who runs the system."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from meristem import CallError, Code, Contract, Flow, Message, SagaParked, Service, System, once, saga
from meristem.operators.asking import Asking
from meristem.operators.saga_contract import FoundSaga, FoundSagas, SagaPlace, SagaSearch
from meristem.operators.saga_merging import newest
from meristem.operators.system_sagas import SystemSagas
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.sagas.records import SagaState
from meristem.sagas.saga_views import SagaSummary, Why
from meristem.system.blueprint import Blueprint
from meristem.system.placement_tables import TEMPORARY

JAMMED: set[str] = set()
NOW = datetime(2026, 11, 29, tzinfo=UTC)


class Go(Message):
    """Goes on."""

    by: str


class Ovens(Contract, Protocol, package="bakery.ovens.v1"):
    @once(timeout=60.0)
    async def heat(self, degrees: int) -> str: ...
    @once(timeout=60.0)
    async def cool(self, oven: str) -> None: ...


class Bakery(Contract, Protocol, package="bakery.v1"):
    @once(timeout=60.0)
    async def bake(self, cake: str, degrees: int, api_key: str) -> str: ...
    @once(timeout=60.0)
    async def proof(self, dough: str) -> str: ...


class BakeryService(Bakery, Service):
    def __init__(self, ovens: Ovens) -> None:
        self.ovens = ovens

    @saga(search=["cake"])
    async def bake(self, flow: Flow, cake: str, degrees: int, api_key: str) -> str:
        oven = await flow.with_undo(self.ovens.heat(degrees), self.ovens.cool)
        if cake == "stone":
            await self.ovens.heat(999)
        return f"{cake} of {oven}, {api_key[:1]}"

    @saga(signals=[Go])
    async def proof(self, flow: Flow, dough: str) -> str:
        return f"{dough} by {(await flow.wait_for_signal(Go, timeout=None)).by}"


class OvensService(Ovens, Service):
    async def heat(self, degrees: int) -> str:
        if degrees > 300:
            raise CallError(Code.FAILED_PRECONDITION, "too hot", may_have_happened=False)
        return f"oven at {degrees}"

    async def cool(self, oven: str) -> None:
        if "jam" in JAMMED:
            raise ValueError("the oven is jammed")


class Living:
    """A process that runs here, as one of those that operators ask."""

    restarts = 0

    def __init__(self, assembly: Assembly) -> None:
        self.labels = {"process": assembly.process.name, "replica": "0"}
        self.services = assembly.process.services
        self.assembly = assembly
        self.is_silent = False

    async def ask(self, operation, request):
        if self.is_silent:
            raise ConnectionError("it is gone")
        return await self.assembly.desks.ask(operation, request)


class Run:
    """What operators see of a run."""

    def __init__(self, *found: Living) -> None:
        self.found = found

    def instances(self):
        return self.found


@pytest.fixture
async def bakery():
    """What operators ask, who bakes, and the process."""
    JAMMED.add("jam")
    async with _run() as found:
        yield found


@asynccontextmanager
async def _run():
    system = System("bakery", services=[BakeryService, OvensService])
    assembly = Assembly(Blueprint(system), "main", Options(environment={}, development=True, database=TEMPORARY))
    await assembly.start()
    try:
        await assembly.activate()
        living = Living(assembly)
        yield SystemSagas(Asking(Run(living))), assembly.client(Bakery), living
    finally:
        await assembly.drain()
        await assembly.stop()


async def baked(bakery):
    for cake in ("plum", "apple"):
        await bakery.bake(cake, 200, "k-123")
    with pytest.raises(SagaParked):
        await bakery.bake("stone", 100, "k-123")


async def test_sagas_of_databases_in_memory_are_found_by_state_text_and_field_page_by_page(bakery):
    sagas, bakes, _ = bakery
    await baked(bakes)

    every = await sagas.find(SagaSearch())
    first = await sagas.find(SagaSearch(most=2))
    last = first.sagas[-1].saga
    rest = await sagas.find(SagaSearch(after=SagaPlace(created=last.created, id=last.id)))
    parked = await sagas.find(SagaSearch(states=[SagaState.PARKED], service="bakery"))
    by_field = await sagas.find(SagaSearch(where={"cake": "plum"}))
    by_text = [await sagas.find(SagaSearch(text=text)) for text in ("apple", every.sagas[0].saga.id[:10], "nothing")]

    assert [each.saga.state for each in every.sagas] == ["parked", "done", "done"]
    assert (every.services, every.more, first.more) == (["bakery", "ovens"], False, True)
    assert [each.saga.id for each in rest.sagas] == [every.sagas[2].saga.id]
    assert [each.saga.id for each in parked.sagas] == [every.sagas[0].saga.id]
    assert [each.saga.id for each in by_field.sagas] == [every.sagas[2].saga.id]
    assert [[each.saga.id for each in found.sagas] for found in by_text] == [
        [every.sagas[1].saga.id], [every.sagas[0].saga.id], [],
    ]  # fmt: skip


async def test_an_overview_has_names_counts_and_search_fields(bakery):
    sagas, bakes, _ = bakery
    await baked(bakes)
    told = {each.service: each for each in (await sagas.overview()).services}

    assert told["bakery"].names == ["bake", "proof"]
    assert told["bakery"].counts == {"running": 0, "waiting": 0, "undoing": 0, "parked": 1}
    assert [(each.saga, each.field, each.whole) for each in told["bakery"].fields] == [("bake", "cake", True)]
    assert (told["ovens"].names, told["ovens"].fields) == ([], [])


async def test_values_are_shown_where_asked_for_and_what_is_secret_never(bakery):
    sagas, bakes, _ = bakery
    await baked(bakes)
    [found] = (await sagas.find(SagaSearch(text="plum"))).sagas
    shut = await sagas.show("bakery", found.saga.id)
    opened = await sagas.show("bakery", found.saga.id, values=True)

    assert (shut.input, shut.result, [each.reply for each in shut.steps]) == (None, None, [None])
    assert opened.input == '{"cake":"plum","degrees":200,"api_key":"***"}'
    assert (opened.result, [each.reply for each in opened.steps]) == ('"plum of oven at 200, k"', ['"oven at 200"'])


async def test_a_parked_saga_goes_on(bakery):
    sagas, bakes, _ = bakery
    await baked(bakes)
    [parked] = (await sagas.find(SagaSearch(states=[SagaState.PARKED]))).sagas
    JAMMED.clear()
    retried = await sagas.retry("bakery", parked.saga.id)
    with pytest.raises(CallError, match="only a parked saga waits for that") as twice:
        await sagas.retry("bakery", parked.saga.id)

    assert retried.state is SagaState.UNDOING
    assert twice.value.code is Code.FAILED_PRECONDITION
    assert [each.id for each in (await sagas.retry_some("bakery")).sagas] == []


async def test_a_saga_that_waits_is_sent_its_signal_or_cancelled(bakery):
    sagas, bakes, _ = bakery
    waiting = [asyncio.ensure_future(bakes.proof(dough)) for dough in ("rye", "oats")]
    async with asyncio.timeout(30):
        while len((found := await sagas.find(SagaSearch(states=[SagaState.WAITING]))).sagas) < 2:
            await asyncio.sleep(0.02)
    first, second = (each.saga.id for each in found.sagas)
    shown = await sagas.show("bakery", first)
    with pytest.raises(CallError, match="takes no signal 'Stop'"):
        await sagas.signal("bakery", first, "Stop", "{}")
    await sagas.signal("bakery", first, "Go", '{"by": "hand"}')
    cancelled = await sagas.cancel("bakery", second)
    ended = await asyncio.gather(*waiting, return_exceptions=True)

    assert (shown.takes, [each.why for each in shown.waits_for]) == (["Go"], [Why.SIGNAL])
    assert cancelled.cancelled
    assert sorted(str(each) for each in ended if isinstance(each, str)) in (["rye by hand"], ["oats by hand"])
    assert [each.code for each in ended if isinstance(each, CallError)] == [Code.CANCELED]


def test_answers_are_merged_to_the_newest_of_all():
    def told(service, *ages, more=False):
        found = []
        for age in ages:
            began = NOW - timedelta(seconds=age)
            saga = SagaSummary(
                id=f"{service}{age}",
                name="bake",
                version=1,
                state=SagaState.DONE,
                created=began,
                updated=NOW,
                attempts=1,
            )
            found.append(FoundSaga(service=service, saga=saga))
        return FoundSagas(sagas=found, services=[service], more=more)

    both = newest([told("b", 1, 3, 3.5), told("a", 2, 3)], 4, ["c"])

    assert [each.saga.id for each in both.sagas] == ["b1", "a2", "b3", "a3"]
    assert (both.services, both.more, both.silent) == (["a", "b"], True, ["c"])
    assert newest([told("a", 1, more=True)], 4).more


async def test_a_fork_begins_where_the_code_follows_it_and_names_what_it_does_again(bakery):
    sagas, bakes, _ = bakery
    await baked(bakes)
    [plum] = (await sagas.find(SagaSearch(text="plum"))).sagas
    fork = await sagas.fork("bakery", plum.saga.id, "0")
    with pytest.raises(CallError, match="has no step '7'") as nowhere:
        await sagas.fork("bakery", plum.saga.id, "7")

    assert (fork.fork_of, fork.takes_over, [each.name for each in fork.again]) == (plum.saga.id, False, ["Ovens.heat"])
    assert nowhere.value.code is Code.NOT_FOUND
    assert (await sagas.show("bakery", fork.saga.id)).fork_of == plum.saga.id


async def test_services_that_do_not_answer_are_named(bakery):
    sagas, bakes, living = bakery
    await baked(bakes)
    living.is_silent = True
    found = await sagas.find(SagaSearch())
    with pytest.raises(CallError, match="process main does not answer") as one:
        await sagas.show("bakery", "0" * 32)
    with pytest.raises(CallError, match="no service 'cellar' lives here") as unknown:
        await sagas.retry("cellar", "0" * 32)

    assert (found.sagas, sorted(found.silent)) == ([], ["bakery", "ovens"])
    assert (await sagas.overview()).silent == ["bakery", "ovens"]
    assert (one.value.code, unknown.value.code) == (Code.UNAVAILABLE, Code.NOT_FOUND)
