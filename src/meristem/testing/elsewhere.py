"""A moment at which nothing is left to happen in other processes, told from what their `/metrics` say."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from meristem.supervision.readiness import fetched
from meristem.system.addresses import sockets
from meristem.testing.app import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meristem.system.plan import Plan

AGAIN: Final = 0.1  # seconds until the processes are asked again
DONE: Final = (  # what counts each thing that events and sagas do
    "meristem_events_published_total",
    "meristem_events_delivered_total",
    "meristem_events_retried_total",
    "meristem_events_dead_lettered_total",
    "meristem_saga_steps_total",
    "meristem_sagas_ended_total",
)

Figure: TypeAlias = tuple[str, tuple[str, ...]]


class Look(msgspec.Struct):
    """What all processes said, one after the other; `ended` is when the last of them had answered.

    `done` counts by address and figure, `counted` tells when each service's database was looked into.
    """

    ended: float
    left: list[str]
    done: dict[tuple[str, Figure], float]
    counted: list[float]


async def settled(plan: Plan, run: Path, timeout: float) -> None:  # noqa: ASYNC109 - whoever runs out of time is told what is left
    """Wait until no process has anything left; raises TimeoutError that says what is.

    What they say is not of one instant: an event may leave a process that is yet to be asked for one that has been.
    So two looks must agree that nothing was done in between, and the second must have counted after the first ended.
    Then nothing was left in any process at that very moment.
    """
    left = ["what no process has told yet"]
    try:
        async with asyncio.timeout(timeout):
            first = await _look(plan, run)
            while True:
                left = first.left or ["what began meanwhile"]
                await asyncio.sleep(AGAIN)
                second = await _look(plan, run)
                if second.left or second.done != first.done:
                    first = second
                elif all(at >= first.ended for at in second.counted):
                    return
    except TimeoutError:
        raise TimeoutError(f"not settled after {timeout:g} s: {', '.join(left)}; the log may say why") from None


async def _look(plan: Plan, run: Path) -> Look:
    found = Look(0.0, [], {}, [])
    services = {each.name: each for each in plan.services}
    for process in plan.processes:
        keep = [name for name in process.services if services[name].database]
        for address in sockets(plan, run)[process.name] if keep else ():
            try:
                figures = _figures(await fetched(address, "/metrics"))
            except OSError as error:  # it is being started again
                found.left.append(f"{process.name} does not answer ({error})")
                continue
            found.left += _left(figures)
            found.done |= {(address, figure): value for figure, value in figures.items() if figure[0] in DONE}
            found.counted += [figures.get(("meristem_counted_timestamp_seconds", (name,)), 0.0) for name in keep]
    found.ended = time.time()
    return found


def _figures(text: str) -> dict[Figure, float]:
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, tuple(sample.labels.values())): sample.value for sample in samples}


def _left(figures: dict[Figure, float]) -> Iterator[str]:
    """What a process says is still to be done, in words."""
    for (name, labels), value in figures.items():
        if name == "meristem_outbox_events" and value:
            yield f"{value:g} of {labels[0]}'s events for {labels[1]}"
        if name == "meristem_sagas" and labels[1] in UNDER_WAY and value:
            yield f"{value:g} of {labels[0]}'s sagas {labels[1]}"
