"""A placement says how much of what happens is recorded."""

from typing import Protocol

import pytest

from meristem import CallError, Code, Context, Contract, Database, Fault, Flow, Service, System, once, safe, saga, using
from meristem.context import Trace
from meristem.system.placement import Placement
from meristem.system.placement_tables import Telemetry
from meristem.testing import running


class Door(Contract, Protocol, package="telemetry.v1"):
    @safe
    async def knock(self) -> None: ...

    @safe
    async def push(self) -> None: ...


class DoorService(Door, Service):
    async def knock(self) -> None: ...

    async def push(self) -> None:
        raise CallError(Code.DATA_LOSS, "it came off its hinges")


class Jammed(Fault):
    """The lock does not turn."""


class Locks(Contract, Protocol, package="telemetry.v1"):
    @once(raises=[Jammed])
    async def turn(self) -> None: ...


class LocksService(Locks, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    @saga
    async def turn(self, flow: Flow) -> None:
        await flow.with_undo(flow.step(self._insert), self._draw)
        raise Jammed

    async def _insert(self) -> None:
        """Put the key in."""

    async def _draw(self, _: None) -> None:
        """Pull the key out."""


SYSTEM = System("telemetry", services=[DoorService, LocksService])


async def recorded(**wanted: float) -> list[str]:
    async with running(SYSTEM, placement=Placement(telemetry=Telemetry(**wanted))) as app:
        for _ in range(5):
            await app.client(Door).knock()
            with pytest.raises(CallError):
                await app.client(Door).push()
        return [span.name.rpartition("/")[2] for span in app.telemetry.recent.spans()]


async def test_without_a_placement_every_call_at_human_speed_is_recorded():
    assert len(await recorded()) == 10


async def test_without_traces_only_what_fails_is_recorded():
    assert len(await recorded(traces_per_second=0)) == 5


async def test_what_takes_longer_than_the_placement_says_is_recorded_besides():
    assert len(await recorded(traces_per_second=0, slow=0)) == 10


async def test_what_is_recorded_besides_is_bounded():
    assert await recorded(traces_per_second=0, late_per_second=0) == []


async def test_what_a_saga_does_and_undoes_is_recorded_in_the_trace_that_began_it():
    trace = Trace("1" * 32, "2" * 16, sampled=True)
    async with running(SYSTEM) as app:
        with using(Context(trace=trace)), pytest.raises(Jammed):
            await app.client(Locks).turn()
        await app.settled()
        spans = app.telemetry.recent.trace(trace.trace_id)
    steps = [span.name for span in spans if span.kind == "internal"]

    assert steps == ["turn: LocksService._insert", "turn: LocksService._draw"]
    assert all(span.parent_id is not None for span in spans)
