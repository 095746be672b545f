"""A moment at which nothing is left to happen in other processes, told from what their `/metrics` say."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from meristem.supervision.readiness import fetched
from meristem.system.addresses import sockets
from meristem.testing.settling import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from prometheus_client.samples import Sample

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


async def _look(plan: Plan, run: Path, states: Sequence[str] = UNDER_WAY) -> Look:
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
            found.left += _left(figures, states)
            found.done |= {(address, figure): value for figure, value in figures.items() if figure[0] in DONE}
            found.counted += [figures.get(("meristem_counted_timestamp_seconds", (name,)), 0.0) for name in keep]
    found.ended = time.time()
    return found


class There:
    """Services of other processes, on the clock of their machine."""

    def __init__(self, plan: Plan, run: Path) -> None:
        self._plan = plan
        self._run = run

    async def rests(self) -> bool:
        """True: time is the machine's, and passes by itself."""
        return True

    async def passes(self, until: float) -> None:
        """Wait a moment."""
        await asyncio.sleep(max(0.0, min(AGAIN, until - time.monotonic())))

    async def pending(self) -> list[str]:
        """What the processes say is still to be done, and how many sagas wait for something."""
        return (await _look(self._plan, self._run, [*UNDER_WAY, "waiting", "parked"])).left

    async def failed(self) -> list[str]:
        """Nothing: the log has it, which is logged here."""
        return []

    def passed(self) -> str:
        """Nothing beside the machine's time."""
        return ""


def _figures(text: str) -> dict[Figure, float]:
    return {(sample.name, tuple(sample.labels.values())): sample.value for sample in samples(text)}


def samples(text: str) -> Iterator[Sample]:
    """The figures in the text of a process's `/metrics`."""
    return (sample for family in text_string_to_metric_families(text) for sample in family.samples)


async def all_figures(plan: Plan, run: Path) -> list[str]:
    """The texts of every process's `/metrics`; of one that does not answer there is none."""
    found = []
    for process in plan.processes:
        for address in sockets(plan, run)[process.name] if process.services else ():
            with suppress(OSError):  # it is being started again, and counts from nothing
                found.append(await fetched(address, "/metrics"))
    return found


def _left(figures: dict[Figure, float], states: Sequence[str]) -> Iterator[str]:
    """What a process says is still to be done, in words."""
    for (name, labels), value in figures.items():
        if name == "meristem_outbox_events" and value:
            yield f"{value:g} of {labels[0]}'s events for {labels[1]}"
        if name == "meristem_bus_lag" and value:  # also where nobody knows: it is not a number then
            yield f"{value:g} events that the broker has for {labels[0]}"
        if name == "meristem_sagas" and labels[1] in states and value:
            yield f"{value:g} of {labels[0]}'s sagas {labels[1]}"
