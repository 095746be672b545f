"""What goes between the parts of a system: as its plan has it, with figures, and what was called besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meristem.operators.operator_contract import MapEdge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meristem.operators.health import SystemParts
    from meristem.operators.recent_figures import RecentFigures
    from meristem.operators.seen_calls import SeenCalls

OUTSIDE: Final = "outside"  # who calls and is none of the parts: browsers, and programs elsewhere
HOSTED: Final = ("app", "program")  # they are asked by HTTP, and declare nothing


class MapEdges:
    """The edges of the map as they are now.

    Calls of operations are counted by who makes them. Requests to apps and programs are counted where they are
    answered or handed on, whoever sent them: who did is known of those that are recorded (`seen`).
    """

    def __init__(self, parts: SystemParts, figures: RecentFigures, seen: SeenCalls) -> None:
        self._parts = parts
        self._figures = figures
        self._seen = seen
        self._nodes = {each.id for each in parts.nodes}

    def all(self) -> list[MapEdge]:
        """Those of the plan, those that it does not have, and what comes from outside."""
        made = self._figures.made()
        answered = self._figures.answered()
        for (caller, callee), calls in made.items():
            if caller:
                answered[callee] = answered.get(callee, 0) - calls
        edges = []
        for each in self._parts.edges:
            caller, callee = _names(each)
            if each.kind != "call":
                edges.append(each)
            elif each.target.startswith("service:") or each.target.startswith("external:"):
                edges.append(self._counted(each, made.pop((caller, callee), 0)))
            else:
                edges.append(self._requests(each))
        return [*edges, *self._undeclared(made), *self._unplanned(edges), *self._from_outside(answered, edges)]

    def _undeclared(self, made: dict[tuple[str, str], int]) -> Iterator[MapEdge]:
        """Calls that stand in no constructor, which apps and programs have none of."""
        for (caller, callee), calls in made.items():
            target = self._id(callee, ("service", "external"))
            if target is not None and calls and caller:
                source = self._id(caller, ("service", *HOSTED)) or OUTSIDE
                edge = MapEdge(source=source, target=target, kind="call", declared=not source.startswith("service:"))
                yield self._counted(edge, calls)

    def _unplanned(self, edges: Sequence[MapEdge]) -> Iterator[MapEdge]:
        """Recorded requests to apps and programs of parts whose settings do not name them."""
        known = {(each.source, each.target) for each in edges}
        for caller, callee in sorted(self._seen):
            source, target = self._id(caller, ("service", *HOSTED)), self._id(callee, HOSTED)
            if source is not None and target is not None and source != target and (source, target) not in known:
                declared = not source.startswith("service:")
                yield self._requests(MapEdge(source=source, target=target, kind="call", declared=declared))

    def _from_outside(self, answered: dict[str, int], edges: Sequence[MapEdge]) -> Iterator[MapEdge]:
        """What was answered and nobody here has asked for, by REST, RPC or a browser."""
        asked = {each.target for each in edges}
        for name, calls in answered.items():
            if calls > 0 and f"service:{name}" in self._nodes:
                yield self._counted(MapEdge(source=OUTSIDE, target=f"service:{name}", kind="call"), calls)
        for each in self._parts.nodes:
            # Where a part asks for it, too, nobody can tell whose a request is.
            if each.kind in HOSTED and each.id not in asked and self._figures.requests(each.name):
                yield self._requests(MapEdge(source=OUTSIDE, target=each.id, kind="call"))

    def _counted(self, edge: MapEdge, calls: int) -> MapEdge:
        caller, callee = _names(edge)
        figures = self._figures
        found = figures.of_calls(caller, callee) or (figures.of_service(callee) if calls else None)
        return msgspec.structs.replace(edge, calls=calls, figures=found)

    def _requests(self, edge: MapEdge) -> MapEdge:
        _, callee = _names(edge)
        figures = self._figures.of_app(callee) if self._figures.requests(callee) else None
        return msgspec.structs.replace(edge, calls=None, figures=figures)

    def _id(self, name: str, kinds: Sequence[str]) -> str | None:
        return next((found for kind in kinds if (found := f"{kind}:{name}") in self._nodes), None)


def _names(edge: MapEdge) -> tuple[str, str]:
    return edge.source.partition(":")[2], edge.target.partition(":")[2]
