"""The lines of the access log, and requests to hosted apps as spans by OpenTelemetry's conventions for HTTP servers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.baggage import spanned
from meristem.context import using
from meristem.telemetry.log_events import begin, bound_variables
from meristem.telemetry.log_handler import sole_handler
from meristem.telemetry.metrics import OK
from meristem.telemetry.tracer import describe

if TYPE_CHECKING:
    from meristem.context import Context, Position
    from meristem.telemetry.metrics import OperationStats
    from meristem.telemetry.tracer import Tracer, Value

logger = logging.getLogger("meristem.access")
FAILED: Final = 500  # the least status that says that the server failed
CLIENT_LEFT: Final = 499
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
PLAIN: Final = frozenset({str, int, float, bool, type(None)})  # types of values that will be the same when written


class HttpExchange(msgspec.Struct):
    """A request and what became of it.

    `path` is as it was sent, percent-encoded and without its query, which may hold what is secret; `route` is what the
    app's framework calls the place, if it tells. `status` is 0 as long as nothing was answered, `first` the seconds
    until then. An answer that is not `whole` was cut off. `gateway_route` is the route of the gateway that let it in.
    """

    method: str
    path: str
    scheme: str
    client: str
    status: int = 0
    first: float = 0.0
    whole: bool = False
    route: str = ""
    gateway_route: str = ""

    @property
    def policy(self) -> Mapping[str, str]:
        """What the line of the access log says of the gateway."""
        return {"route": self.gateway_route} if self.gateway_route else NOTHING


def log_request(
    method: str,
    path: str,
    client: str,
    status: int,
    seconds: float,
    context: Context,
    how: str = "",
    policy: Mapping[str, str] = NOTHING,
) -> None:
    """Write a line of the access log, under the trace of `context`; a request without a method was none.

    `policy` is what the gateway says of it: its `route`, and by what and why it was `refused`.
    Where it would go to the handler of ours alone, it is collected there, which costs a tenth: no record is made, and
    all lines of a turn of the event loop are written at once.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    told = {"client": client, "status": status, "seconds": round(seconds, 6), **policy}
    handler, bound = sole_handler(logger, logging.INFO), bound_variables()
    if handler is None or not PLAIN.issuperset(map(type, bound.values())):
        with using(context):
            logger.info("%s %s %d%s", method or "?", path or "?", status, how, extra=told)
        return
    message = f"{method or '?'} {path or '?'} {status}{how}"
    event = begin(message, bound, context, logger.name, "info", time())
    event.update(told)
    handler.collect(event)


class HttpRequests:
    """Tells of the requests to one app, as its process's tracer decides; `logged` has a line of each written.

    They are counted in `stats`, if there are such.
    """

    def __init__(self, app: str, tracer: Tracer, *, logged: bool = True, stats: OperationStats | None = None) -> None:
        self._stats = stats
        self.tracer = tracer
        self._app = app
        self.logged = logged

    def count(self, seconds: float, status: int) -> None:
        """Count a request that was answered after `seconds`."""
        if (stats := self._stats) is not None:
            stats.begun += 1
            stats.record(seconds, str(status) if status >= FAILED else OK)

    def ended(
        self,
        exchange: HttpExchange,
        context: Context,
        parent: Position | None,
        seconds: float,
        error: BaseException | None = None,
    ) -> None:
        """Record a request that took `seconds`; `error` is what the app raised."""
        failed = exchange.status >= FAILED
        self.count(exchange.first or seconds, exchange.status)  # of a stream its beginning, not how long it lasts
        if self.logged:
            how = "" if exchange.whole else ", cut off"
            log_request(
                exchange.method, exchange.path, exchange.client, exchange.status, seconds, context, how, exchange.policy
            )
        trace = context.trace
        if trace is None:
            return
        if trace.sampled:
            self._record(exchange, context, trace, parent, seconds, error)
        # A stream may last: what is slow is how long its client waited for the beginning.
        elif (failed or exchange.first >= self.tracer.slow) and self.tracer.late():
            self._record(exchange, context, trace if parent is None else trace.child(), parent, seconds, error)

    def _record(
        self,
        exchange: HttpExchange,
        context: Context,
        trace: Position,
        parent: Position | None,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        attributes: dict[str, Value] = {
            "http.request.method": exchange.method,
            "url.path": exchange.path,
            "url.scheme": exchange.scheme,
            "http.response.status_code": exchange.status,
        }
        if exchange.route:
            attributes["http.route"] = exchange.route
        told = None
        if exchange.status >= FAILED:
            attributes["error.type"] = str(exchange.status) if error is None else type(error).__name__
            told = str(exchange.status) if error is None else describe(error)
        if context.baggage:
            attributes |= spanned(context.baggage)
        name = f"{exchange.method} {exchange.route}".rstrip()
        parent_id = None if parent is None else parent.span_id
        self.tracer.finish(name, "server", self._app, trace.ids(), parent_id, seconds, attributes, told)
