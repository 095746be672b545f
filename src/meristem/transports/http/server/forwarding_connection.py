"""A connection of outsiders whose requests may go the short way to where they are forwarded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from meristem.transports.http.responses import CLOSE, COALESCED
from meristem.transports.http.server.body import SizedBody
from meristem.transports.http.server.connection import ServerConnection
from meristem.transports.http.server.head import MOST_REMEMBERED, persists
from meristem.transports.http.server.hosted import scope_of
from meristem.transports.http.server.phases import BUSY

if TYPE_CHECKING:
    from meristem.transports.http.fast_path import FastRequest, PreparedRequest
    from meristem.transports.http.request import Request
    from meristem.transports.http.server.body import IncomingBody
    from meristem.transports.http.server.listener import Listener


class ForwardingConnection(ServerConnection):
    """One connection; what the app would forward goes by the listener's `fast` way, where that takes it."""

    __slots__ = ("before", "passing", "prepared")

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self.before: PreparedRequest | None = None  # that went the short way
        self.prepared: PreparedRequest | None = None  # the same, while nothing else has come
        self.passing: FastRequest | None = None  # that is on its way there

    def connection_lost(self, exc: Exception | None) -> None:
        if self.passing is not None:
            self.passing.lost()
        super().connection_lost(exc)

    def recognizes(self, data: bytes) -> bool:
        prepared = self.prepared
        if prepared is None:
            return super().recognizes(data)
        if data != prepared.request.raw:
            return False
        self.request = prepared.request
        self.mark = self.listener.reaper.now
        self._pass(prepared)
        return True

    def repeated(self, data: bytes) -> Request | None:
        prepared = self.prepared
        if prepared is None:
            return super().repeated(data)
        return prepared.request if data == prepared.request.raw else None

    def begin(self) -> None:
        self.prepared = None
        super().begin()

    def host(self, request: Request, body: IncomingBody, begun: Any = None) -> None:
        listener = self.listener
        if listener.fast is not None and begun is None and body.done and persists(request):
            scope = partial(scope_of, request, self.transport, listener.state)
            prepared = listener.fast.prepare(request, scope, self.before)
            if prepared is not None:
                if len(request.raw) <= MOST_REMEMBERED:
                    self.prepared = self.before = prepared
                self._pass(prepared)
                return
        super().host(request, body, begun)

    def passed(self, status: int, head: bytes, body: bytes) -> None:  # noqa: ARG002 - for a policy that counts
        """Send the whole answer; `head` lacks the empty line at its end."""
        self.passing = None
        transport, request, close = self.transport, self.request, self.listener.draining
        if transport.is_closing() or request is None:
            return
        added = b"".join([b"%b: %b\r\n" % each for each in request.answer_fields])
        end = CLOSE + b"\r\n" if close else b"\r\n"
        if len(body) < COALESCED:
            transport.write(b"%b%b%b%b" % (head, added, end, body))
        else:
            transport.write(b"%b%b%b" % (head, added, end))
            transport.write(body)
        self.request = None
        if close:
            self.linger()
        else:
            self.rest()

    def hand_over(self, begun: Any) -> None:
        """Have the app answer instead: it finds in its scope what was `begun`."""
        self.passing = None
        assert self.request is not None  # it is answered still
        self.host(self.request, SizedBody(0), begun)

    def _pass(self, prepared: PreparedRequest) -> None:
        self.phase = BUSY
        self.used = True
        self.passing = prepared.send(self)
