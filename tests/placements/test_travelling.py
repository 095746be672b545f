"""A value that a caller sets is seen wherever its request has consequences; nobody outside sets what isn't public."""

import asyncio
import os
import signal

import httpx
import msgspec
import pytest
from placed import APART
from systems.travellers import Clerk, Guide, Locale, Paying, Plan, Renting, Tenant, Told

from meristem import CallError, Code, Context, connect, current, start_saga, using
from meristem.context import Trace
from meristem.testing import running

SYSTEM = "systems.travellers:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")
TENANT = Tenant(name='Ümläut, "Söhne"; & Co = 100 %', seats=7)
VALUES = ("de-AT", f"{TENANT.name} 7", Plan.GOLD)
NONE = ("en", None, Plan.FREE)


def values(found: Told) -> tuple[str, str | None, Plan]:
    return found.locale, found.tenant, found.plan


def all_set(found: list[Told]) -> bool:
    return [values(each) for each in found] == [VALUES] * len(found)


@pytest.fixture
def asked():
    with Locale.using("de-AT"), Renting.using(TENANT), Paying.using(Plan.GOLD):
        yield


async def test_a_called_service_sees_them_and_so_does_one_that_it_calls(app, asked):
    found = await app.client(Guide).seen()

    assert [each.where for each in found] == ["guide", "clerk"]
    assert all_set(found)


async def test_nothing_of_one_call_is_left_for_the_next(app):
    with Locale.using("de-AT"), Renting.using(TENANT):
        await app.client(Guide).seen()
    assert [values(each) for each in await app.client(Guide).seen()] == [NONE] * 2


async def test_a_service_sets_another_one_for_a_block(app, asked):
    found = await app.client(Guide).seen_in("fr")

    assert [each.locale for each in found] == ["fr", "de-AT", "de-AT"]
    assert {values(each)[1:] for each in found} == {VALUES[1:]}


async def test_the_producer_of_a_stream_sees_them_at_each_item(app, asked):
    found = [each async for each in app.client(Guide).stream(3)]

    assert [each.where for each in found] == ["stream", "clerk"] * 3
    assert all_set(found)


async def test_calls_at_once_do_not_mix(app):
    async def ask(locale: str) -> set[str]:
        with Locale.using(locale):
            return {each.locale for each in await app.client(Guide).seen()}

    locales = [f"l-{number}" for number in range(30)]
    assert await asyncio.gather(*map(ask, locales)) == [{each} for each in locales]


async def test_stored_answers_and_handlers_of_events_see_them(app):
    with Locale.using("de-AT"), Renting.using(TENANT), Paying.using(Plan.GOLD):
        await app.client(Guide).publish("ada")
    found = await app.client(Clerk).notes("ada", 2)

    assert {each.where for each in found} == {"once", "handler"}
    assert all_set(found)


async def test_a_stored_answer_is_given_whatever_travels(app):
    clerk = app.client(Clerk)
    with using(key="stored-once"):
        for locale in ("de-AT", "fr"):
            with Locale.using(locale):
                assert await clerk.noted("stored", "once") == "stored"
    found = await clerk.notes("stored", 1)

    assert [each.locale for each in found] == ["de-AT"]


async def test_a_saga_and_its_steps_see_them_and_so_does_what_undoes(app):
    with Locale.using("de-AT"), Renting.using(TENANT), Paying.using(Plan.GOLD):
        inside = await app.client(Guide).book("done")
        with pytest.raises(CallError, match="undo it"):
            await app.client(Guide).book("undone", fail=True)
    found = await app.client(Clerk).notes("undone", 3)

    assert [each.where for each in inside] == ["step", "saga"]
    assert all_set(inside)
    assert [each.where for each in found] == ["call of a saga", "another locale", "undo"]
    assert [each.locale for each in found] == ["de-AT", "it", "de-AT"]
    assert all_set([found[0], found[2]])


async def test_a_saga_that_is_resumed_sees_them(app):
    with Locale.using("de-AT"), Renting.using(TENANT), Paying.using(Plan.GOLD):
        handle = await start_saga(app.client(Guide).wait, "late")
    await app.client(Clerk).notes("late", 1)
    await app.settled(timeout=30.0)
    with Locale.using("fr"):  # who wakes it has another one
        await app.client(Guide).answer("late")
    runs = await handle.result()
    found = await app.client(Clerk).notes("late", 2)

    assert len(runs) == 2  # from the row: the first run was at rest when the event came
    assert all_set(runs)
    assert [each.where for each in found] == ["before", "after"]
    assert all_set(found)


async def test_a_saga_whose_process_is_killed_goes_on_with_them(tmp_path):
    async with running(SYSTEM, where="processes", database=f"sqlite:///{tmp_path}/{{service}}.db") as system:
        guide, clerk = system.client(Guide), system.client(Clerk)
        with Locale.using("de-AT"), Renting.using(TENANT), Paying.using(Plan.GOLD):
            handle = await start_saga(guide.wait, "killed")
        await clerk.notes("killed", 1)
        before = pid_of(system, "guide-0")
        os.kill(before, signal.SIGKILL)
        with Locale.using("fr"):
            await system.eventually(lambda: guide.answer("killed"), equals=None, timeout=60)
        runs = await handle.result()
        found = await clerk.notes("killed", 2)
        assert pid_of(system, "guide-0") != before

    # The process that was killed has forgotten its own run: these are of the one that went on.
    assert runs
    assert all_set(runs)
    assert [each.where for each in found] == ["before", "after"]
    assert all_set(found)


def pid_of(system, replica):
    return {f"{each.process}-{each.replica}": each.pid for each in system.supervisor.statuses()}[replica]


async def test_what_runs_by_the_clock_has_none(app, asked):
    assert values(await app.client(Guide).tick()) == NONE


async def test_what_no_process_knows_travels_on_untouched(app):
    with using(Context(baggage="somebodys=a%20b,parity.locale=pt")):
        found = await app.client(Guide).seen()

    assert [(each.locale, each.baggage) for each in found] == [("pt", "somebodys=a%20b,parity.locale=pt")] * 2


async def test_a_value_that_another_release_set_is_refused_where_it_is_read(app):
    with using(Context(baggage="parity.plan=platinum")), pytest.raises(CallError) as caught:
        await app.client(Clerk).told()

    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith("baggage: parity.plan: invalid enum value 'platinum'")


async def test_spans_tell_them_but_for_those_that_are_not_traced(app, where, asked):
    if where in APART:
        pytest.skip("spans of other processes are theirs")
    trace = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
    with using(msgspec.structs.replace(current(), trace=trace)):
        await app.client(Guide).seen()
    spans = app.telemetry.recent.trace(trace.trace_id)

    calls = [each for each in spans if "rpc.method" in each.attributes]
    assert {each.name.rpartition("/")[2] for each in calls} == ({"seen", "told"} if where == "local" else {"seen"})
    for each in calls:  # over the wire those of the callers are here, and each service has its own
        found = {name: value for name, value in each.attributes.items() if name.startswith("meristem.value.")}
        assert found == {
            "meristem.value.parity.locale": "de-AT",
            "meristem.value.parity.tenant": msgspec.json.encode(TENANT).decode(),
        }


async def test_from_outside_only_public_values_come_in(app, where):
    if where not in APART:
        pytest.skip("only processes have a public port")
    forged = "parity.tenant=%7B%22name%22:%22x%22%7D, other=1, parity.locale=fr-CA ;source=browser,,=,parity.plan"
    async with httpx.AsyncClient(base_url=app.address) as browser:
        for headers in (
            [("baggage", forged.removesuffix(",parity.plan"))],
            [("baggage", "parity.locale=fr-CA"), ("baggage", "parity.tenant=x, other=1")],
        ):
            rest = await browser.post("/api/seen", headers=headers)
            rpc = await browser.post("/parity.travellers.v1.Guide/PublicSeen", headers=headers, json={})
            for found in (rest.json(), rpc.json()["result"]):
                assert [(each["locale"], each.get("tenant"), each["baggage"]) for each in found] == [
                    ("fr-CA", None, "parity.locale=fr-CA")
                ] * 2
        wrong = await browser.post("/api/seen", headers={"baggage": "parity.plan=stolen"})
        twice = await browser.post("/api/seen", headers={"baggage": "parity.locale=a, parity.locale=b"})
    async with connect(app.address) as outside:
        with Locale.using("pt"), Renting.using(TENANT):
            by_program = await outside.client(Guide).public_seen()

    assert (wrong.status_code, twice.status_code) == (400, 400)
    assert "baggage: parity.plan: invalid enum value 'stolen'" in wrong.text
    assert "baggage: parity.locale is given more than once" in twice.text
    assert [values(each) for each in by_program] == [("pt", None, Plan.FREE)] * 2
