"""The edge's part in the trace of a request that it forwards: it decides what is recorded, and hands the trace on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.context import CURRENT, Context
from meristem.head_fields import BAGGAGE
from meristem.hosting.asgi.exchange import claim, exchange_of, hear, is_claimed, note
from meristem.hosting.asgi.incoming import baggage_of, continued, read_fields, trace_of
from meristem.transports.http.fast_path import BEGUN

if TYPE_CHECKING:
    from meristem.asgi import ASGIApp, Receive, Scope, Send
    from meristem.telemetry.http_requests import HttpRequests


class Traced:
    """An ASGI application before `app`, which forwards: what comes after it believes what it says of trace and values.

    What a client from outside says of either is held to the terms for clients from outside here.
    """

    def __init__(self, app: ASGIApp, requests: HttpRequests, *, is_told: bool) -> None:
        self._app = app
        self._requests = requests
        self._is_told = is_told  # nobody else writes its line of the log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracer, fields = self._requests.tracer, read_fields(scope["headers"])
        begun = scope.get("state", {}).get(BEGUN)
        if begun is None:
            started, parent = tracer.clock(), trace_of(fields)
            trace = tracer.enter(parent, started)
        else:
            started, parent, trace = begun.started, None, begun.trace
        baggage = baggage_of(fields)
        inner = continued(scope, trace)
        if BAGGAGE in fields:
            kept = [each for each in inner["headers"] if each[0] != BAGGAGE]
            inner["headers"] = [*kept, (BAGGAGE, baggage.encode("latin-1"))] if baggage else kept
        claim(inner)
        if not trace.sampled and not self._is_told:
            await self._app(inner, receive, send)
            if not is_claimed(inner):
                CURRENT.set(Context(None, trace, baggage=baggage))
            return
        exchange = exchange_of(dict(scope))

        async def received() -> Any:
            message = await receive()
            hear(exchange, message)
            return message

        async def sent(message: Any) -> None:
            if not exchange.status and note(exchange, message):
                exchange.first = tracer.clock() - started
            await send(message)

        failure: BaseException | None = None
        try:
            await self._app(inner, received, sent)
            exchange.whole = True
        except BaseException as error:
            failure = error
            raise
        finally:
            context = Context(None, trace, baggage=baggage)
            CURRENT.set(context)  # for the line of the log; the task ends with the request
            if self._is_told:
                claim(inner)
            self._requests.ended(exchange, context, parent, tracer.clock() - started, failure)
