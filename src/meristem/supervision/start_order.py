"""In which order processes and programs start: those who are called before those who call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meristem.lifecycle import together
from meristem.system.addresses import edge
from meristem.system.program_templates import named

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from meristem.system.plan import Plan


def waits(plan: Plan) -> dict[str, frozenset[str]]:
    """For each process and program, those that must be ready before it starts.

    Services never call in a circle, yet processes may when each holds a caller and a callee: these start together.
    What hosts apps starts after what hosts none, and the edge last, because an app may call anybody; until then
    connections wait at its port. So may a program, which starts after all that do not name it: services and apps by
    their settings, programs by their templates, and the edge by what is mounted there.
    """
    where = {service: process.name for process in plan.processes for service in (*process.services, *process.apps)}
    programs = {each.name for each in plan.programs}
    where |= {name: name for name in programs}
    processes = [process.name for process in plan.processes]
    calls: dict[str, set[str]] = {name: set() for name in (*processes, *programs)}
    for service in plan.services:
        calls[where[service.name]] |= {where[callee] for callee in (*service.calls, *service.uses)}
    for app in plan.apps:
        calls[where[app.name]] |= {where[each] for each in app.uses}
    for program in plan.programs:
        calls[program.name] |= {where[each] for each in named(program)}
    last = edge(plan).name
    calls[last] |= {each.name for each in plan.programs if each.mount is not None}
    hosts = [process.name for process in plan.processes if process.apps and process.name != last]
    # One after the other: each sees whom the former ones wait for, so that none of them closes a circle.
    groups = (
        *((each, {*hosts, last}) for each in hosts),
        (last, {last}),
        *((each.name, programs) for each in plan.programs),
    )
    for caller, left_out in groups:
        calls[caller] |= {name for name in processes if name not in left_out and caller not in _reached(name, calls)}
    return without_circles(calls)


def without_circles(calls: Mapping[str, AbstractSet[str]]) -> dict[str, frozenset[str]]:
    """For each, all that it calls by way of others, too; those that call each other wait for none of their circle."""
    reached = {name: _reached(name, calls) for name in calls}
    return {name: frozenset(each for each in reached[name] if name not in reached[each]) for name in calls}


def in_order(waiting: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """The names of what `waits` gives, those who are called first."""
    left = dict(waiting)
    while left:
        free = [name for name, others in left.items() if not others & left.keys()]
        yield from free
        for name in free:
            del left[name]


async def start_in_order(waiting: Mapping[str, frozenset[str]], start: Callable[[str], Awaitable[None]]) -> None:
    """Start each when those that it waits for have started; the first failure ends the others and is raised."""
    ready = {name: asyncio.Event() for name in waiting}

    async def begin(name: str) -> None:
        for other in waiting[name]:  # those that wait for none start together
            await ready[other].wait()
        await start(name)
        ready[name].set()

    await together(begin(name) for name in waiting)


async def stop_in_order(waiting: Mapping[str, frozenset[str]], stop: Callable[[str], Awaitable[None]]) -> None:
    """End each when its callers have ended: they may still need its answers to finish."""
    ended = {name: asyncio.Event() for name in waiting}

    async def end(name: str) -> None:
        for other, gone in ended.items():
            if name in waiting[other]:
                await gone.wait()
        await stop(name)
        ended[name].set()

    await together(end(name) for name in waiting)


def _reached(start: str, calls: Mapping[str, AbstractSet[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = calls[ahead.pop()] - found
        found |= new
        ahead.extend(new)
    return found
