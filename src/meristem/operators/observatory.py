"""What the operator contract stands on: what gathers, what keeps and what answers, and a stream of what is new."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.asgi import respond, start, until_disconnected
from meristem.contracts.contract import operations
from meristem.operators.actions_contract import Actions
from meristem.operators.actions_desk import ActionsDesk
from meristem.operators.answering import answering
from meristem.operators.asking import Asking
from meristem.operators.catalogue_contract import Catalogue
from meristem.operators.event_contract import Events
from meristem.operators.event_watch import EventWatch
from meristem.operators.gateway_contract import GatewayControl
from meristem.operators.gatherer import Gatherer
from meristem.operators.history_file import History
from meristem.operators.log_intake import LineTaker
from meristem.operators.operator_contract import Operator
from meristem.operators.saga_contract import SagaOperations
from meristem.operators.supervision_contract import ProcessControl
from meristem.operators.system_catalogue import SystemCatalogue
from meristem.operators.system_events import SystemEvents
from meristem.operators.system_gateway import SystemGateway
from meristem.operators.system_sagas import SystemSagas
from meristem.operators.system_view import SystemView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from meristem.asgi import Receive, Scope, Send
    from meristem.config.setting_sources import Setting
    from meristem.contracts.call import ServedOperation
    from meristem.operators.action_log import ActionLog
    from meristem.operators.health import Overview
    from meristem.operators.history_file import Keeping

BETWEEN: Final = 1.0  # seconds between two words of what is new, at least
STREAMS: Final = 64  # at once: each holds a connection as long as it likes, and others need some to ask by
CROWDED: Final = b"as many pages look on as can be told of what is new; close some\n"
STREAM: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Observatory:
    """Gathers what a system's processes tell, keeps it in a file, and answers the operator contracts by `routes`.

    Whoever serves those writes into `action_log` what changes something.
    """

    def __init__(
        self,
        overview: Overview,
        path: Path,
        action_log: ActionLog,
        keeping: Keeping | None = None,
        settings: Callable[[], Mapping[str, Sequence[Setting]]] = dict,
    ) -> None:
        self.action_log = action_log
        self._supervision = overview.supervision
        self.history = History(path, keeping)
        self._gatherer = Gatherer(overview, self.history)
        self._view = SystemView(overview, self._gatherer, self.history, settings)
        self._asking = Asking(overview)
        self._events = SystemEvents(self._asking)
        self._event_watch = EventWatch(self._events, self.history)
        self._catalogue = SystemCatalogue(overview, self._asking)
        self._is_ending = asyncio.Event()
        self._streams = 0

    def lines_of(self, process: str, replica: int) -> LineTaker:
        """What takes the lines of a replica, to be asked for once: what it takes in a second is bounded."""
        return LineTaker(self.history, process, replica)

    @property
    def routes(self) -> dict[str, ServedOperation]:
        """The operations of all contracts by their paths."""
        desks: list[tuple[Any, object]] = [
            (Operator, self._view),
            (Actions, ActionsDesk(self.action_log)),
            (Events, self._events),
            (ProcessControl, self._supervision),
            (SagaOperations, SystemSagas(self._asking)),
            (Catalogue, self._catalogue),
            (GatewayControl, SystemGateway(self._asking, self._gatherer.routes)),
        ]
        return {
            # Of who gets in here by the sign-in: the same operations of a process answer its own system alone.
            each.path: answering(each.under(public=True), desk)
            for contract, desk in desks
            for each in operations(contract).values()
        }

    async def start(self) -> None:
        """Gather and keep from now on."""
        await self.history.start()
        await self._gatherer.start()
        await self._event_watch.start()

    async def drain(self) -> None:
        """It looks on to the end."""

    async def stop(self) -> None:
        """Look a last time, and end the streams."""
        self._is_ending.set()
        await self._event_watch.stop()
        await self._gatherer.stop()
        await self.history.stop()
        self.action_log.close()

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `GET /live`: server-sent events (HTML Living Standard, section 9.2), one whenever something is new.

        `event: change` has a count for each kind of what is kept. Who finds one grown asks for what it shows.
        """
        if scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, fields=[(b"allow", b"GET, HEAD"), *STREAM])
            return
        if self._streams >= STREAMS:
            await respond(send, 503, b"text/plain; charset=utf-8", CROWDED, STREAM)
            return
        self._streams += 1
        try:
            await self._tell(scope, receive, send)
        finally:
            self._streams -= 1

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, 200, b"text/event-stream", STREAM)
        left = asyncio.ensure_future(until_disconnected(receive))
        ending = asyncio.ensure_future(self._is_ending.wait())
        told = b""
        try:
            while scope["method"] == "GET" and not (left.done() or ending.done()):
                counts = self._counts()
                text = b": nothing new\n\n" if counts == told else b"event: change\ndata: " + counts + b"\n\n"
                told = counts
                await send({"type": "http.response.body", "body": text, "more_body": True})
                await asyncio.wait({left, ending}, timeout=BETWEEN)
            await send({"type": "http.response.body", "body": b""})
        finally:
            left.cancel()
            ending.cancel()

    def _counts(self) -> bytes:
        rounds, actions = self._gatherer.rounds, self.action_log.count
        counts = {**self.history.counters._asdict(), "figures": rounds, "processes": rounds, "actions": actions}
        return msgspec.json.encode(counts)
