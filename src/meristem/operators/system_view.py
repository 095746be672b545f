"""Answers the operator contract, of what was gathered and of what is kept."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.operators.health import READY
from meristem.operators.history_search import find_errors, find_figures, find_lines, find_spans, find_traces
from meristem.operators.history_slots import ChartRange
from meristem.operators.load_search import find_backlogs, find_loads, find_replicas
from meristem.operators.map_edges import HOSTED, OUTSIDE, MapEdges
from meristem.operators.operator_contract import (
    MapNode,
    PartSettings,
    ProcessView,
    SettingView,
    SystemMap,
)
from meristem.operators.route_search import find_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from meristem.config.setting_sources import Setting
    from meristem.operators.gatherer import Gatherer
    from meristem.operators.health import InstanceHealth, Overview
    from meristem.operators.history_file import History
    from meristem.operators.load_views import BacklogPoint, LoadPoint, ProcessLoad, ReplicaHistory
    from meristem.operators.operator_contract import (
        ErrorView,
        FigurePoint,
        LogSearch,
        LogView,
        OperationView,
        SpanView,
        TraceSearch,
        TraceView,
    )
    from meristem.operators.route_views import RoutePoint

LONGEST: Final = 7 * 1440  # minutes that a chart shows at most


class SystemView:
    """One system, as its operators see it; it answers `Operator`."""

    def __init__(
        self,
        overview: Overview,
        gatherer: Gatherer,
        history: History,
        settings: Callable[[], Mapping[str, Sequence[Setting]]] = dict,
    ) -> None:
        self._settings = settings
        self._overview = overview
        self._gatherer = gatherer
        self._history = history

    async def system(self) -> SystemMap:
        healths = [each for _, each in await self._healths()]
        overview, figures = self._overview, self._gatherer.figures
        nodes = [_alive(each, healths) for each in overview.parts.nodes]
        nodes = [
            msgspec.structs.replace(each, figures=figures.of_service(each.name))
            if each.kind == "service"
            else msgspec.structs.replace(each, figures=figures.of_app(each.name))
            if each.kind in HOSTED and figures.requests(each.name)
            else each
            for each in nodes
        ]
        edges = MapEdges(overview.parts, figures, self._gatherer.seen_calls).all()
        if any(each.source == OUTSIDE for each in edges):
            nodes.append(MapNode(id=OUTSIDE, kind="outside", name="callers outside"))
        return SystemMap(
            system=overview.system,
            address=overview.address or "",
            since=overview.since,
            nodes=nodes,
            edges=edges,
            has_gateway=overview.parts.has_gateway,
        )

    async def processes(self) -> list[ProcessView]:
        return [self._process(is_program, each) for is_program, each in await self._healths()]

    async def operations(self) -> list[OperationView]:
        return self._gatherer.figures.operations()

    async def loads(self) -> list[ProcessLoad]:
        return self._gatherer.loads.all()

    async def settings(self) -> list[PartSettings]:
        noted = await asyncio.to_thread(self._settings)
        return [
            PartSettings(part=part, settings=[SettingView(**msgspec.structs.asdict(each)) for each in found])
            for part, found in sorted(noted.items())
        ]

    async def history(self, service: str, operation: str, minutes: int) -> list[FigurePoint]:
        shown = _range(minutes)
        return await self._history.read(partial(find_figures, shown=shown, service=service, operation=operation))

    async def load_history(self, service: str, minutes: int) -> list[LoadPoint]:
        return await self._history.read(partial(find_loads, shown=_range(minutes), service=service))

    async def replica_history(self, process: str, minutes: int) -> list[ReplicaHistory]:
        return await self._history.read(partial(find_replicas, shown=_range(minutes), process=process))

    async def event_history(self, service: str, subscriber: str, minutes: int) -> list[BacklogPoint]:
        shown = _range(minutes)
        return await self._history.read(partial(find_backlogs, shown=shown, service=service, subscriber=subscriber))

    async def route_history(self, route: str, minutes: int) -> list[RoutePoint]:
        return await self._history.read(partial(find_routes, shown=_range(minutes), route=route))

    async def traces(self, search: TraceSearch) -> list[TraceView]:
        return await self._history.read(partial(find_traces, search=search))

    async def trace(self, trace_id: str) -> list[SpanView]:
        return await self._history.read(partial(find_spans, trace_id=trace_id))

    async def logs(self, search: LogSearch) -> list[LogView]:
        return await self._history.read(partial(find_lines, search=search))

    async def errors(self, most: int) -> list[ErrorView]:
        return await self._history.read(partial(find_errors, most=min(max(most, 1), 1000)))

    async def _healths(self) -> list[tuple[bool, InstanceHealth]]:
        """Of each part whether it is a program, and how it fares; all are asked at once."""
        instances = self._overview.instances()
        found = await asyncio.gather(*(each.health() for each in instances))
        return [("program" in each.labels, health) for each, health in zip(instances, found, strict=True)]

    def _process(self, is_program: bool, health: InstanceHealth) -> ProcessView:
        load = None if is_program else self._gatherer.loads.of(health.process, health.replica)
        return ProcessView(
            name=health.process,
            replica=health.replica,
            is_program=is_program,
            status=health.status,
            pid=health.pid,
            restarts=health.restarts,
            since=health.since,
            services=list(health.services),
            apps=list(health.apps),
            address=health.address or "",
            problem=health.problem or "",
            memory=None if load is None else load.memory,
            cpu=None if load is None else load.cpu,
        )


def _range(minutes: int) -> ChartRange:
    return ChartRange.of(min(max(minutes, 1), LONGEST), time.time())


def _alive(node: MapNode, healths: Iterable[InstanceHealth]) -> MapNode:
    """A node with the status of the processes that it lives in: the worst of its replicas'."""
    process = node.name if node.kind == "program" else node.process
    found: Sequence[InstanceHealth] = [each for each in healths if process and each.process == process]
    if not found:
        return node
    ready = sum(each.status == READY for each in found)
    status = next((each.status for each in found if each.status != READY), READY)
    return msgspec.structs.replace(node, status=status, replicas=len(found), ready=ready)
