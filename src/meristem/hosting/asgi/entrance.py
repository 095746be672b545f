"""The entrance of a hosted app: what each of its requests finds of the system, and what is told of the answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from meristem.config.settings import OF_APP
from meristem.context import CURRENT, Context, Identity, Place
from meristem.contracts.call import CONNECTOR
from meristem.errors import CallError
from meristem.head_fields import AUTHORIZATION
from meristem.hosting.asgi.exchange import claim, exchange_of, hear, note, settle
from meristem.hosting.asgi.incoming import baggage_of, continued, deadline_of, read_fields, trace_of
from meristem.log_positions import Positions
from meristem.position_fields import sent as sent_positions
from meristem.position_fields import told
from meristem.security.identity_fields import STATE as USER
from meristem.security.identity_fields import identity_fields

if TYPE_CHECKING:
    from meristem.contracts.call import Connector
    from meristem.hosting.asgi.protocol import ASGIApp
    from meristem.telemetry.http_requests import HttpRequests

logger = logging.getLogger(__name__)
UserOf: TypeAlias = Callable[[bytes], Awaitable[Identity | None]]
"""Tells whose an `authorization` field is, None where it proves nothing."""

HANDED_ON: Final = "handed_on"  # in the state of a request that the edge of the system has passed on


class AppSurroundings(NamedTuple):
    """What an app has of its system: clients of contracts, its own settings, and who somebody is that has signed in.

    Calls that a request makes have `timeout` seconds in all, if there is such a limit. `follows` says that what a
    request writes is followed, so that the next one of its browser reads it.
    """

    connector: Connector
    settings: Callable[[type[Any]], Any]
    user_of: UserOf | None
    timeout: float | None = None
    follows: bool = False


class Entrance:
    """An ASGI application before `app`: a request runs within its trace, for its user, until its deadline.

    The clients and settings of its `surroundings` are at hand. The context variables are set for the task of the
    request, which is the server's and ends with it. Nothing here refuses a request: an app that knows nothing of
    Meristem answers as if it were alone.
    """

    def __init__(self, name: str, app: ASGIApp, surroundings: AppSurroundings, requests: HttpRequests) -> None:
        self._name = name
        self._app = app
        self._surroundings = surroundings
        self._requests = requests

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        claim(scope)
        CONNECTOR.set(self._surroundings.connector)
        OF_APP.set(self._surroundings.settings)
        tracer, fields = self._requests.tracer, read_fields(scope["headers"])
        started, parent = tracer.clock(), trace_of(fields, foreign=not scope.get("state", {}).get(HANDED_ON, False))
        trace = tracer.enter(parent, started)
        exchange = exchange_of(scope)
        place = Place(self._name, f"{exchange.method} {exchange.path}")
        limit = self._surroundings.timeout
        deadline = deadline_of(fields, limit) if scope["type"] == "http" else None  # a WebSocket lasts
        context = Context(deadline, trace, baggage=baggage_of(fields), place=place)
        if self._surroundings.follows:
            context.positions = sent_positions(fields) or Positions()
        CURRENT.set(context)
        inner = continued(scope, trace)
        context.user = known = scope.get("state", {}).get(USER)
        if known is None:
            context.user = await self._user(fields.get(AUTHORIZATION))
        else:  # the gateway has found it out
            inner["headers"] += identity_fields(known)

        async def received() -> Any:
            message = await receive()
            hear(exchange, message)
            return message

        async def sent(message: Any) -> None:
            if not exchange.whole and note(exchange, message):
                exchange.first = tracer.clock() - started
                if message["type"] == "http.response.start" and (fields := told(context)):
                    message = {**message, "headers": [*message.get("headers", ()), *fields]}
            await send(message)

        failure: BaseException | None = None
        try:
            await self._app(inner, received, sent)
        except BaseException as error:
            failure = error
            raise
        finally:
            settle(exchange, inner, failure)
            self._requests.ended(exchange, context, parent, tracer.clock() - started, failure)

    async def _user(self, authorization: bytes | None) -> Identity | None:
        """Who has signed in; whom nobody knows is anonymous, and what that means is for the app to say."""
        user_of = self._surroundings.user_of
        if authorization is None or user_of is None:
            return None
        try:
            return await user_of(authorization)
        except CallError as error:
            logger.warning("app %r: who asks could not be found out, so it is anonymous: %s", self._name, error)
        except Exception:  # a boundary: the app must answer, and gives an anonymous client the least
            logger.exception("app %r: who asks could not be found out, so it is anonymous", self._name)
        return None
