"""`app.settled()` returns when nothing is left to happen, in whichever process."""

import asyncio

import pytest
from systems.bouncing import Left, Right

from meristem import CallError

SYSTEM = "systems.bouncing:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_events_that_cause_events_in_other_processes_are_waited_for(app):
    """Each ball is at any moment in one of two processes, which are asked one after the other."""
    before = await app.client(Right).caught()
    await asyncio.gather(*(app.client(Left).throw(f"ball {number}", 19) for number in range(5)))
    await app.settled(timeout=60.0)

    assert await app.client(Right).caught() == before + 100


async def test_a_saga_of_another_process_is_waited_for(app):
    before = await app.client(Right).caught()
    with pytest.raises(CallError, match="deadline_exceeded"):
        await app.client(Right).trickle("saga")
    await app.settled(timeout=60.0)

    assert await app.client(Right).caught() == before + 10


async def test_what_is_left_in_another_process_is_told_when_time_is_over(app):
    await app.client(Left).throw("butterfingers", 0)

    with pytest.raises(TimeoutError, match=r"not settled after 1.5 s: 1 of left's events for right.*; the log may say"):
        await app.settled(timeout=1.5)
