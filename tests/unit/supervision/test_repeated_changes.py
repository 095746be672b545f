"""A change that is asked for again while it is made is that one, whatever came of it so far."""

from __future__ import annotations

import asyncio

import pytest

from meristem.errors import CallError
from meristem.supervision.changes import RunChanges
from meristem.supervision.supervision_desk import SupervisionDesk


class Placed:
    """A process of the plan."""

    name, overlap, replicas = "rooms", True, 1


class Run:
    """A supervisor that is half way when it has the new replica and is not yet through."""

    class plan:  # noqa: N801 - an attribute of a supervisor
        processes, programs = [Placed], []

    def __init__(self):
        self.counts = {"rooms": 1}
        self.half_way, self.may_end = asyncio.Event(), asyncio.Event()

    async def scale(self, process, count, change):
        self.counts[process] = count
        self.half_way.set()
        await self.may_end.wait()


async def test_scaling_that_is_asked_for_again_is_the_one_under_way_though_the_number_has_changed_meanwhile():
    run = Run()
    changes = RunChanges(say=lambda _: None, changed=lambda: None)
    desk = SupervisionDesk(run, changes, {})  # type: ignore[arg-type]
    first = await desk.scale("rooms", 2)
    await run.half_way.wait()
    assert (await desk.scale("rooms", 2)).number == first.number
    with pytest.raises(CallError, match="is under way"):
        await desk.scale("rooms", 3)
    run.may_end.set()
    await changes.stop()
    assert len(changes.latest) == 1
