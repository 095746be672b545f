"""The lines of the access log for requests that reach no app, of which nobody else would tell."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

from meristem.context import current
from meristem.hosting.asgi.exchange import exchange_of, hear, is_claimed, note, settle
from meristem.hosting.asgi.forwarded import peer_of
from meristem.security.forwarding import ContradictionError
from meristem.telemetry.http_requests import log_request, logger

if TYPE_CHECKING:
    from meristem.hosting.asgi.protocol import ASGIApp
    from meristem.security.forwarding import TrustedProxies
    from meristem.telemetry.http_requests import HttpExchange


class AccessLog:
    """An ASGI application before `app`, outermost: what nobody behind it claims has its line here.

    That is what is refused, and what is sent elsewhere before an app has seen it, at the mounts and at the edge.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        began, exchange = perf_counter(), exchange_of(scope)
        failure: BaseException | None = None

        async def received() -> Any:
            message = await receive()
            hear(exchange, message)
            return message

        async def sent(message: Any) -> None:
            if not exchange.whole:
                note(exchange, message)
            await send(message)

        try:
            await self._app(scope, received, sent)
        except BaseException as error:
            failure = error
            raise
        finally:
            if not is_claimed(scope) and logger.isEnabledFor(logging.INFO):
                settle(exchange, scope, failure)
                self._write(exchange, scope, perf_counter() - began)

    def _write(self, exchange: HttpExchange, scope: dict[str, Any], seconds: float) -> None:
        try:
            client = self._proxies.origin(peer_of(scope["client"]), scope["headers"]).client
        except ContradictionError:  # told in two ways, for which the request was refused
            client = None
        how = "" if exchange.whole else ", cut off"
        address = exchange.client if client is None else client[0]
        log_request(exchange.method, exchange.path, address, exchange.status, seconds, current(), how, exchange.policy)
