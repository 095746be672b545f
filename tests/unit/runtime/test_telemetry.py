"""A placement says how much of what happens is recorded."""

from typing import Protocol

import pytest

from meristem import CallError, Code, Contract, Service, System, safe
from meristem.system.placement import Placement, Telemetry
from meristem.testing.running import running


class Door(Contract, Protocol, package="telemetry.v1"):
    @safe
    async def knock(self) -> None: ...

    @safe
    async def push(self) -> None: ...


class DoorService(Door, Service):
    async def knock(self) -> None: ...

    async def push(self) -> None:
        raise CallError(Code.DATA_LOSS, "it came off its hinges")


SYSTEM = System("telemetry", services=[DoorService])


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
