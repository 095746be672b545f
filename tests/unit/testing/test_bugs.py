"""In development a bug in what a saga calls is told at once, with one traceback; production tries again."""

from pathlib import Path
from typing import Protocol

import pytest

from meristem import (
    CallError,
    Code,
    Contract,
    Flow,
    SagaHandle,
    SagaParked,
    SagaState,
    Service,
    System,
    once,
    safe,
    saga,
    start_saga,
)
from meristem.sagas.administration import SagaStore
from meristem.testing import ManualClock, running

THIS = Path(__file__).read_text(encoding="utf-8")
BOTH = pytest.mark.parametrize("where", ["local", "wire"])


class Bank(Contract, Protocol, package="bugs.bank.v1"):
    @once
    async def charge(self, card: str) -> str: ...

    @once
    async def refund(self, payment: str) -> None: ...

    @safe
    async def look(self, card: str) -> str: ...

    @once
    async def book(self, card: str) -> str: ...


class Trips(Contract, Protocol, package="bugs.trips.v1"):
    @once(timeout=5.0)
    async def undoable(self) -> str: ...

    @once(timeout=5.0)
    async def lasting(self) -> str: ...

    @once(timeout=5.0)
    async def harmless(self) -> str: ...

    @once(timeout=5.0)
    async def own_step(self) -> str: ...

    @once(timeout=5.0)
    async def own_code(self) -> str: ...

    @once(timeout=5.0)
    async def undo_elsewhere(self) -> str: ...

    @once(timeout=5.0)
    async def undo_here(self) -> str: ...

    @once(timeout=5.0)
    async def saga_below(self) -> str: ...


class BankService(Bank, Service):
    def __init__(self) -> None:
        self.cards: dict[str, str] = {}
        self.charged = 0
        self.refunded: list[str] = []

    async def charge(self, card: str) -> str:
        self.charged += 1
        return "paid" if card == "good" else self.cards[card]

    async def refund(self, payment: str) -> None:
        self.refunded.append(self.cards[payment])

    async def look(self, card: str) -> str:
        return self.cards[card]

    @saga
    async def book(self, flow: Flow, card: str) -> str:
        return await flow.step(self.own, card)

    async def own(self, card: str) -> str:
        return self.cards[card]


class TripsService(Trips, Service):
    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    @saga
    async def undoable(self, flow: Flow) -> str:
        return await flow.with_undo(self.bank.charge("unknown"), self.bank.refund)

    @saga
    async def lasting(self, flow: Flow) -> str:
        return await self.bank.charge("unknown")

    @saga
    async def harmless(self, flow: Flow) -> str:
        return await self.bank.look("unknown")

    @saga
    async def own_step(self, flow: Flow) -> str:
        return await flow.with_undo(flow.step(self.step, "unknown"), self.bank.refund)

    @saga
    async def own_code(self, flow: Flow) -> str:
        return {}[flow.version]

    @saga
    async def undo_elsewhere(self, flow: Flow) -> str:
        await flow.with_undo(self.bank.charge("good"), self.bank.refund)
        raise CallError(Code.NOT_FOUND, "no such train")

    @saga
    async def undo_here(self, flow: Flow) -> str:
        await flow.with_undo(self.bank.charge("good"), self.take_back)
        raise CallError(Code.NOT_FOUND, "no such train")

    @saga
    async def saga_below(self, flow: Flow) -> str:
        return await flow.with_undo(self.bank.book("unknown"), self.bank.refund)

    async def step(self, card: str) -> str:
        return {}[card]

    async def take_back(self, payment: str) -> None:
        {}[payment]


SYSTEM = System("bugs", services=[BankService, TripsService])


def tracebacks(caplog) -> list[str]:
    """The messages that were logged with one."""
    return [each.getMessage() for each in caplog.records if each.exc_info]


@BOTH
@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ("undoable", SagaParked),
        ("lasting", CallError),
        ("harmless", CallError),
        ("own_step", CallError),
        ("own_code", CallError),
        ("undo_elsewhere", SagaParked),
        ("undo_here", SagaParked),
        ("saga_below", SagaParked),
    ],
)
async def test_a_bug_is_told_at_once_and_with_one_traceback(where, operation, told, caplog):
    # Nobody moves the clock: whoever paused to try again would not answer before the call's time is over.
    async with running(SYSTEM, where=where, clock=ManualClock()):
        with pytest.raises(CallError) as raised:
            await getattr(Trips.client(), operation)()
    assert type(raised.value) is told
    assert raised.value.code is Code.INTERNAL
    assert len(tracebacks(caplog)) == 1


async def test_a_saga_that_is_parked_is_logged_with_the_step_and_the_reason(caplog):
    async with running(SYSTEM, clock=ManualClock()):
        with pytest.raises(SagaParked) as raised:
            await Trips.client().undo_here()
    line = caplog.records[-1].getMessage()
    assert line == (
        f"saga undo_here {raised.value.saga_id} is parked: the undo TripsService.take_back of step 0 (Bank.charge) "
        "fails: KeyError: 'paid' (it is undone because: no such train)"
    )


async def test_a_saga_that_a_bug_has_parked_goes_on_when_the_bug_is_mended():
    async with running(SYSTEM, clock=ManualClock()) as app:
        with pytest.raises(SagaParked) as raised:
            await Trips.client().undoable()
        bank = app.service(BankService)
        assert bank.charged == 1

        bank.cards["unknown"] = bank.cards["refunded"] = "refunded"
        await SagaStore(app.database("trips")).retry(raised.value.saga_id)
        with pytest.raises(CallError, match="Bank.charge failed"):
            await SagaHandle.of(Trips.client().undoable, raised.value.saga_id).result()
        assert bank.refunded == ["refunded"]


async def test_production_tries_again_and_parks_in_the_end():
    clock = ManualClock()
    async with running(SYSTEM, clock=clock, development=False) as app:
        handle = await start_saga(Trips.client().undoable)
        bank = app.service(BankService)
        await app.eventually(handle.state, equals=SagaState.PARKED, timeout=60)
    assert bank.charged > 15


@pytest.mark.timeout(60)
async def test_processes_tell_it_at_once_too(tmp_path, monkeypatch, caplog):
    (tmp_path / "bugs.py").write_text(THIS)
    monkeypatch.chdir(tmp_path)
    async with running("bugs.py:SYSTEM", where="processes") as app:
        with pytest.raises(SagaParked):
            await app.client(Trips).undo_elsewhere()
    assert sum("KeyError: 'paid'" in each.getMessage() for each in caplog.records) == 1
