"""Answers are handed out one by one, in the journal's order."""

from __future__ import annotations

import asyncio

from meristem.sagas.commands import SagaCommand
from meristem.sagas.ordering import Ordering
from meristem.sagas.records import Kind


def asked(name: str) -> SagaCommand:
    loop = asyncio.get_running_loop()
    return SagaCommand(future=loop.create_future(), kind=Kind.CALL, name=name, request="", reply=None)


async def test_it_is_live_once_a_new_answer_is_handed_out_not_when_it_comes():
    """A branch that still waits for its answer of the journal will ask for what may be under way."""
    first, second, new = asked("first"), asked("second"), asked("new")
    handed: list[tuple[str, bool]] = []
    done = asyncio.Event()

    def deliver(command: SagaCommand) -> None:
        handed.append((command.name, ordering.is_live))
        if command is new:
            done.set()

    ordering = Ordering([1, 2], deliver, lambda: None)
    for _ in (first, second, new):
        ordering.issued()
    ordering.answered(ordering.reserve(), new)
    ordering.answered(2, second)
    ordering.answered(1, first)
    await asyncio.wait_for(done.wait(), 10)
    assert handed == [("first", False), ("second", False), ("new", True)]
