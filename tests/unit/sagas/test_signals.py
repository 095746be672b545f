"""Signals from outside: kept until their saga waits for them, each handed out once, in the order in which they came."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

import pytest
from msgspec import Meta
from sagakit import Bookings, Facts, Remote, engine, keyed, opened, told
from test_any_steps import Mortal

from meristem import CallError, Code, Message, MisuseError, SagaHandle, start_saga
from meristem.lifecycle import first_of
from meristem.sagas.administration import SagaStore
from meristem.sagas.execution import Execution
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.journal import Journal
from meristem.sagas.saga import saga
from meristem.testing import ManualClock

DAY = 86400.0


class Approval(Message):
    by: Annotated[str, Meta(min_length=1)]


class Remark(Message):
    text: str


class Orders(Bookings):
    """A saga that is told things."""

    @saga(signals=[Approval, Remark])
    async def order(self, flow: Flow, approvals: int, seconds: float | None = None) -> list[str]:
        found = []
        for _ in range(approvals):
            try:
                found.append((await flow.wait_for_signal(Approval, timeout=seconds)).by)
            except TimeoutError as error:
                return [*found, str(error)]
            await self.rooms.hold(found[-1])
        return found

    @saga(signals=[Approval])
    async def side_by_side(self, flow: Flow, count: int) -> list[str]:
        waits = [flow.wait_for_signal(Approval, timeout=None) for _ in range(count)]
        return sorted(each.by for each in await flow.gather(*waits))

    @saga(signals=[Approval])
    async def declined(self, flow: Flow) -> None:
        await flow.with_undo(self.rooms.hold("a"), self.rooms.release)
        await flow.wait_for_signal(Approval, timeout=None)
        raise LookupError


async def test_a_signal_that_is_sent_before_the_saga_waits_for_it_is_kept(database, remote):
    remote.plans["hold"] = ["hang"]
    async with engine(service := Orders(remote), database):
        handle = await start_saga(service.order, 3)
        await handle.signal(Approval(by="Ada"))
        await remote.reached.wait()
        await handle.signal(Approval(by="Bob"))
        await handle.signal(Remark(text="hurry"))  # of another class: nothing waits for it
        await handle.signal(Approval(by="Cid"))
        remote.freed.set()
        assert await handle.result() == ["Ada", "Bob", "Cid"]


async def test_a_signal_wakes_a_saga_that_sleeps_until_it_comes(database, remote):
    facts = Facts()
    async with engine(service := Orders(remote), database, ManualClock(), observers=[facts]):
        handle = await start_saga(service.order, 1)
        await facts.until(SagaEnded, state="waiting")
        [waits] = (await SagaStore(database).show(handle.id)).waits_for
        await handle.signal(Approval(by="Ada"))
        assert await handle.result() == ["Ada"]
    assert waits.text == "step 0 waits for the signal Approval"
    assert f"meristem sagas signal {handle.id} Approval JSON" in waits.helps


async def test_a_signal_that_comes_in_the_turn_in_which_the_saga_goes_to_sleep_wakes_it(database, remote, monkeypatch):
    """Kept just after the looks for it, and told of just before the saga is put to sleep."""
    looked, quiet, kept, looks = Journal.event, Execution._on_quiet, asyncio.Event(), []

    async def event(self: Journal, *asked: object) -> object:
        looks.append(kept.is_set())
        return None if looks[-1] and looks.count(True) <= 2 else await looked(self, *asked)

    def on_quiet(self: Execution) -> None:
        if kept.is_set():
            self._pauses.nudge.set()
        quiet(self)

    monkeypatch.setattr(Journal, "event", event)
    monkeypatch.setattr(Execution, "_on_quiet", on_quiet)
    remote.plans["hold"] = ["hang"]
    async with engine(service := Orders(remote), database):
        handle = await start_saga(service.order, 2)
        await handle.signal(Approval(by="Ada"))
        await remote.reached.wait()
        await handle.signal(Approval(by="Bob"))
        kept.set()
        remote.freed.set()
        assert await handle.result() == ["Ada", "Bob"]
    assert looks.count(True) > 2


async def test_a_signal_that_does_not_come_in_time_is_a_timeout(database, remote):
    clock, facts = ManualClock(), Facts()
    async with engine(service := Orders(remote), database, clock, observers=[facts]):
        handle = await start_saga(service.order, 1, DAY)
        await facts.until(SagaEnded, state="waiting")
        await clock.advance(DAY)
        assert await handle.result() == ["[deadline_exceeded] no signal Approval came within 86400.0 seconds"]


async def test_of_waits_side_by_side_each_takes_a_signal_of_its_own(database, remote):
    async with engine(service := Orders(remote), database):
        handle = await start_saga(service.side_by_side, 5)
        names = list("abcde")
        await asyncio.gather(*(handle.signal(Approval(by=name)) for name in names))
        assert await handle.result() == names


async def test_whoever_sends_to_a_saga_that_is_over_or_unknown_is_told(database, remote):
    async with engine(service := Orders(remote), database):
        done = await start_saga(service.order, 0)
        await done.result()
        failed = await start_saga(service.declined)
        await failed.signal(Approval(by="Ada"))
        with suppress(CallError):
            await failed.result()
        for handle, code, text in (
            (done, Code.FAILED_PRECONDITION, "is done, so no signal reaches it"),
            (failed, Code.FAILED_PRECONDITION, "has failed, so no signal reaches it"),
            (SagaHandle.of(service.order, "0" * 32), Code.NOT_FOUND, "has no saga"),
        ):
            with pytest.raises(CallError, match=text) as raised:
                await handle.signal(Approval(by="Bob"))
            assert (raised.value.code, raised.value.may_have_happened) == (code, False)


async def test_whoever_sends_to_a_saga_that_is_being_undone_is_told(database, remote):
    remote.plans["release"] = ["hang"]
    async with engine(service := Orders(remote), database):
        handle = await start_saga(service.declined)
        await handle.signal(Approval(by="Ada"))
        await remote.reached.wait()
        with pytest.raises(CallError, match="is being undone"):
            await handle.signal(Approval(by="Bob"))
        remote.freed.set()


async def test_what_a_saga_does_not_take_is_refused(database, remote):
    async with engine(service := Orders(remote), database) as made:
        handle = await start_saga(service.declined)
        with pytest.raises(CallError, match="takes no signal 'Remark'; .* takes: Approval"):
            await handle.signal(Remark(text="no"))
        with pytest.raises(CallError) as raised:
            await made.signal(handle.id, "Approval", '{"by": ""}', "k")
    assert raised.value.code is Code.INVALID_ARGUMENT


async def test_under_one_key_a_signal_is_kept_once(database, remote):
    async with engine(service := Orders(remote), database) as made:
        handle = await start_saga(service.order, 2)
        for key, name in (("a", "Ada"), ("a", "Ada"), ("b", "Bob")):
            await made.signal(handle.id, "Approval", f'{{"by": "{name}"}}', key)
        assert await handle.result() == ["Ada", "Bob"]
        await made.signal(handle.id, "Approval", '{"by": "Bob"}', "b")  # by who has not heard that it was kept
        with pytest.raises(CallError, match="is done"):
            await made.signal(handle.id, "Approval", '{"by": "Bob"}', "c")


async def test_a_signal_is_sent_with_the_transaction_that_is_open_or_not_at_all(database, remote):
    async with engine(service := Orders(remote), database):
        handle = await start_saga(service.order, 1)
        with pytest.raises(LookupError):
            async with database.begin():
                await handle.signal(Approval(by="Ada"))
                raise LookupError
        async with database.begin():
            await handle.signal(Approval(by="Bob"))
        assert await handle.result() == ["Bob"]


async def live(folder, remote, deadly=0):
    """One life of a saga that takes two signals, to its end or to a write; whether it was cut short, and the saga."""
    remote.reached.clear()
    driver, facts = Mortal(folder / "a.db", deadly, remote.reached), Facts()
    async with opened(folder / "a.db", driver) as database:
        async with engine(service := Orders(remote), database, observers=[facts]):
            if deadly:
                with keyed("k"):
                    handle = await start_saga(service.order, 2)
                for name in ("Ada", "Bob"):
                    await handle.signal(Approval(by=name))
                driver.counted = True
            if (await SagaStore(database).summary(told("k", "order"))).state != "done":
                await first_of(remote.reached.wait(), facts.until(SagaEnded, state="done"))
            driver.counted = False
        return remote.reached.is_set(), await SagaStore(database).show(told("k", "order"), values=True)


async def test_killed_at_any_write_of_the_journal_a_saga_takes_each_signal_once(tmp_path):
    for deadly in range(1, 100):
        (folder := tmp_path / str(deadly)).mkdir()
        died, shown = await live(folder, remote := Remote(), deadly)
        if died:
            _, shown = await live(folder, remote)
        assert (shown.saga.state, shown.result) == ("done", '["Ada","Bob"]')
        assert [step.reply for step in shown.steps if step.kind == "wait"] == ['{"by":"Ada"}', '{"by":"Bob"}']
        assert remote.names() == ["hold", "hold"]
        if not died:
            break
    assert deadly > 3


def test_signals_of_one_name_are_refused_where_they_are_declared():
    class Other:
        class Approval(Message): ...

    with pytest.raises(MisuseError, match="two signals are called Approval"):

        @saga(signals=[Approval, Other.Approval])
        async def order(self, flow: Flow) -> None: ...
