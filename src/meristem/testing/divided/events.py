"""What the events of several runs of one test carry, in the shape in which calls are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.testing.divided.alignment import AlignedStep
from meristem.testing.divided.recorded import RecordedCall

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meristem.testing.divided.recorded import Happenings

CARRIES: Final = "carries"
MANY: Final = 1000  # events of one type: of more in a system their number alone is compared


def event_steps(runs: Sequence[Sequence[Happenings]]) -> list[AlignedStep]:
    """For each system, publisher and type the events of all runs, whose order means nothing.

    Left out is what a run published oftener than another, which is told by its number, and what was not over.
    """
    ordered = [sorted(each, key=lambda one: one.block) for each in runs]
    return [
        step
        for blocks in zip(*ordered, strict=False)
        if not any(each.unsettled for each in blocks)
        for step in _of_block(blocks)
    ]


def _of_block(blocks: Sequence[Happenings]) -> Iterator[AlignedStep]:
    for publisher, kind in sorted({(one.publisher, one.type) for each in blocks for one in each.events}):
        carried = [[one for one in each.events if (one.publisher, one.type) == (publisher, kind)] for each in blocks]
        if len({len(each) for each in carried}) > 1 or len(carried[0]) > MANY:
            continue
        operation = f"{kind} published by {publisher}"
        calls = [
            [RecordedCall("", 0, 0, 0, operation, False, {}, {CARRIES: one.carries}, "", "", 0) for one in each]
            for each in carried
        ]
        yield AlignedStep(operation, calls)
