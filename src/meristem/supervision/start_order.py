"""In which order processes start: those who are called before those who call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.system.addresses import edge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.system.plan import Plan


def waits(plan: Plan) -> dict[str, frozenset[str]]:
    """For each process, those that must be ready before it starts.

    Services never call in a circle, yet processes may when each holds a caller and a callee: these start together.
    The edge starts last, because what it hosts may call anybody; until then connections wait at its port.
    """
    where = {service: process.name for process in plan.processes for service in process.services}
    calls: dict[str, set[str]] = {process.name: set() for process in plan.processes}
    for service in plan.services:
        calls[where[service.name]] |= {where[callee] for callee in service.calls}
    reached = {name: _reached(name, calls) for name in calls}
    found = {name: frozenset(each for each in reached[name] if name not in reached[each]) for name in calls}
    last = edge(plan).name
    others = frozenset(name for name in calls if name != last and last not in reached[name])
    return {**found, last: found[last] | others}


def _reached(start: str, calls: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = calls[ahead.pop()] - found
        found |= new
        ahead.extend(new)
    return found
