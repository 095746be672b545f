"""A stand-in for what answers the operator contract: the wire is the real one, the system is invented."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import astuple, replace

from meristem.asgi import respond, start
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import operations
from meristem.contracts.message import Message
from meristem.dashboard.static_pages import DashboardPages
from meristem.operators.actions_contract import Actions
from meristem.operators.answering import answering
from meristem.operators.catalogue_contract import Catalogue
from meristem.operators.event_contract import Events
from meristem.operators.gateway_contract import GatewayControl
from meristem.operators.load_views import BacklogPoint, LoadPoint, ProcessLoad, ReplicaHistory, ServiceLoad
from meristem.operators.operator_contract import (
    ErrorView,
    FigurePoint,
    LogSearch,
    LogView,
    OperationView,
    Operator,
    PartSettings,
    ProcessView,
    SpanView,
    SystemMap,
    TraceSearch,
    TraceView,
)
from meristem.operators.route_views import RoutePoint
from meristem.operators.saga_contract import SagaOperations
from meristem.operators.supervision_contract import ProcessControl
from meristem.transports.http.server.http_server import HttpServer
from tests.dashboard.invented import Invented, Inventor, Part, made
from tests.dashboard.invented_control import InventedControl
from tests.dashboard.invented_events import InventedEvents
from tests.dashboard.invented_gateway import InventedGateway, route_points
from tests.dashboard.invented_loads import backlog_points, load_points, replica_points
from tests.dashboard.invented_sagas import InventedSagas
from tests.dashboard.promises import Promised

LEVELS = ("debug", "info", "warning", "error", "critical")


class StandIn:
    """Answers the contract from an invented system."""

    def __init__(self, invented: Invented) -> None:
        self.invented = invented
        self.sagas: object = InventedSagas(time.time())
        self.events = InventedEvents(time.time())
        self.control = InventedControl(invented)
        self.gateway = InventedGateway(time.time(), is_there=invented.system.has_gateway)
        self.changes = Counter(spans=1, logs=1, figures=1, processes=1, errors=1)
        self.asked: list[str] = []
        self.promised = Promised()
        self._traces: dict[str, list[SpanView]] = {}
        for each in invented.spans:
            self._traces.setdefault(each.trace_id, []).append(each)
        self._short = sorted(map(_short, self._traces.values()), key=lambda each: -each.start)

    def routes(self) -> dict[str, ServedOperation]:
        known = {name: each.under(public=True) for name, each in operations(Operator).items()}
        found = {each.path: ServedOperation(each, self._handler(name)) for name, each in known.items()}
        for contract, desk in (
            (Catalogue, self.promised.catalogue),
            (SagaOperations, self.sagas),
            (Events, self.events),
            (Actions, self.control),
            (ProcessControl, self.control),
            (GatewayControl, self.gateway),
        ):
            known = {name: each.under(public=True) for name, each in operations(contract).items()}
            found |= {each.path: answering(each, desk) for each in known.values()}
        return found

    def _handler(self, name: str) -> Callable[[Call], Any]:
        async def handle(call: Call) -> Any:
            self.asked.append(name)
            request = call.request  # of an operation that takes one message, that message itself
            taken = (request,) if isinstance(request, Message) else astuple(request)
            return await getattr(self, name)(*taken)

        return handle

    def add(self, spans: list[SpanView], logs: list[LogView]) -> None:
        """Something happened."""
        self._traces[spans[0].trace_id] = spans
        self._short.insert(0, _short(spans))
        for line in logs:
            self.invented.logs.append(replace(line, id=len(self.invented.logs) + 1))
        self.changes.update(spans=1, logs=len(logs))

    async def system(self) -> SystemMap:
        return self.invented.system

    async def processes(self) -> list[ProcessView]:
        return self.invented.processes

    async def operations(self) -> list[OperationView]:
        return self.invented.operations

    async def settings(self) -> list[PartSettings]:
        return self.invented.settings

    async def loads(self) -> list[ProcessLoad]:
        found = []
        for each in self.invented.processes:
            busy = each.name == "payments"
            services = [
                ServiceLoad(service=name, limit=256, inside=3 + 250 * busy, waiting=12 * busy, shed=41 * busy)
                for name in each.services
            ]
            found.append(ProcessLoad(process=each.name, replica=each.replica, loop_lag=0.0004, services=services))
        return found

    async def history(self, service: str, operation: str, minutes: int) -> list[FigurePoint]:
        rate = 3.0 if operation else 9.0 if service else 90.0
        return Inventor([], time.time(), hash((service, operation)) % 1000).history(rate, 0.02, 0.01, minutes)

    async def load_history(self, service: str, minutes: int) -> list[LoadPoint]:
        return load_points(time.time(), minutes, len(self.invented.processes), busy=service in ("", "payments"))

    async def replica_history(self, process: str, minutes: int) -> list[ReplicaHistory]:
        return replica_points(time.time(), minutes, [each for each in self.invented.processes if each.name == process])

    async def event_history(self, service: str, subscriber: str, minutes: int) -> list[BacklogPoint]:
        return backlog_points(time.time(), minutes, busy=subscriber in ("", "notifications"))

    async def route_history(self, route: str, minutes: int) -> list[RoutePoint]:
        return route_points(time.time(), minutes, route)

    async def traces(self, search: TraceSearch) -> list[TraceView]:
        found = []
        for each in self._short:
            if (
                (not search.service or search.service in each.services)
                and (not search.status or (search.status == "failed") == bool(each.failed))
                and each.duration >= search.at_least
                and (search.before is None or each.start < search.before)
                and (not search.text or search.text in each.name or each.trace_id.startswith(search.text))
                and search.user in ("", each.user)
                and (not search.operation or self._has(each, search.service, search.operation))
            ):
                found.append(each)
                if len(found) == search.most:
                    break
        return found

    def _has(self, trace: TraceView, service: str, operation: str) -> bool:
        return any(span.name == f"{span.service}.{operation}" for span in self._traces[trace.trace_id])

    async def trace(self, trace_id: str) -> list[SpanView]:
        return self._traces.get(trace_id, [])

    async def logs(self, search: LogSearch) -> list[LogView]:
        least = LEVELS.index(search.level) if search.level else 0
        lines = self.invented.logs if search.after is not None else reversed(self.invented.logs)
        found = []
        for each in lines:
            if (
                LEVELS.index(each.level) >= least
                and search.text.lower() in each.message.lower()
                and search.service in ("", each.service)
                and search.process in ("", each.process)
                and search.trace_id in ("", each.trace_id)
                and (search.after is None or each.id > search.after)
                and (search.before is None or each.id < search.before)
            ):
                found.append(each)
                if len(found) == search.most:
                    break
        return found

    async def errors(self, most: int) -> list[ErrorView]:
        return self.invented.errors[:most]


def _short(spans: list[SpanView]) -> TraceView:
    root = next((each for each in spans if not each.parent_id), spans[0])
    failed = sum(bool(each.error) for each in spans)
    return made(
        TraceView,
        root.trace_id,
        root.name,
        root.service,
        root.start,
        root.duration,
        len(spans),
        failed,
        sorted({each.service for each in spans}),
        next((user for each in spans if (user := each.attributes.get("user.id"))), ""),
    )


class Site:
    """A stand-in that is served, in a thread of its own; `down` and `up` break and mend the connection."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: HttpServer | None = None

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def up(self) -> None:
        self._do(self._up())

    def down(self) -> None:
        assert self._server is not None
        self._do(self._server.stop())

    async def _up(self) -> None:
        self._server = HttpServer(self.stand_in.routes(), DashboardPages(self._live))
        await self._server.start(self.address.replace("http:", "tcp:") or "tcp://127.0.0.1:0", public=True)
        self.address = self._server.addresses[0].replace("tcp:", "http:")

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/live":
            await respond(send, 404)
            return
        if scope["method"] == "HEAD":  # as the page asks whether it may still look
            await respond(send, 200, b"text/event-stream", fields=[(b"cache-control", b"no-store")], method="HEAD")
            return
        await start(send, 200, b"text/event-stream", [(b"cache-control", b"no-store")])
        gone = asyncio.ensure_future(_gone(receive))
        told = None
        while not gone.done():
            if told != (told := dict(self.stand_in.changes)):
                text = f"event: change\ndata: {json.dumps(told)}\n\n"
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            await asyncio.wait([gone], timeout=0.2)

    def happen(self, entry: str, operation: str, parts: list[Part], seed: int = 99) -> str:
        """Have a new trace arrive; gives its id."""
        spans, logs = Inventor(parts, time.time(), seed).trace(time.time(), entry, operation)
        self._loop.call_soon_threadsafe(self.stand_in.add, spans, logs)
        return spans[0].trace_id

    def close(self) -> None:
        self.down()
        self._do(self.stand_in.promised.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextmanager
def served(invented: Invented) -> Iterator[Site]:
    site = Site(StandIn(invented))
    site.up()
    try:
        yield site
    finally:
        site.close()
