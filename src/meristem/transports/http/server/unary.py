"""Unary calls of a connection: the handler runs, its reply or failure becomes the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.contracts.call import Call
from meristem.transports.http.connect.codec import OWN_AGENT
from meristem.transports.http.connect.errors import shield
from meristem.transports.http.server.responses import CLOSE, OK_JSON, failed, replied
from meristem.transports.metadata import context_from, context_of

if TYPE_CHECKING:
    from meristem.transports.http.connect.codec import Route
    from meristem.transports.http.server.connection import ServerConnection
    from meristem.transports.http.server.headcache import Changing
    from meristem.transports.metadata import Head

COALESCED: Final = 64 * 1024  # a larger body is written by itself rather than copied behind its head


async def answer_own(
    connection: ServerConnection, route: Route, token: str | None, changing: Changing, body: bytes
) -> None:
    """Answer a call of Meristem's own client."""
    front = connection.front
    timeout, trace, state, key, _ = changing
    connection.own = True
    try:
        caller = route.caller(token, front.verify, trusted=front.trusted)
        context = context_of(caller, timeout, trace, state, key)
        reply = await route.handler(Call(route.operation, route.read_exact(body), context))
        answer = _ok(connection, route.write(reply))
    except BaseException as error:  # a boundary: a failure is logged and answered, cancellation is raised again
        answer = _failed(connection, route, error)
    connection.task = None
    connection.finish(answer, close=front.draining)


async def answer_other(connection: ServerConnection, route: Route, head: Head, body: bytes) -> None:
    """Answer a call whose head the parser has read."""
    front = connection.front
    connection.own = own = head.get(b"user-agent") == OWN_AGENT
    try:
        caller = route.caller_of(head, front.verify, trusted=front.trusted)
        context = context_from(head, caller, head.get(b"connect-timeout-ms"))
        reply = await route.handler(Call(route.operation, route.read(head, body), context))
        answer = _ok(connection, route.write(reply)) if own else replied(route, head, reply, close=front.draining)
    except BaseException as error:  # a boundary: a failure is logged and answered, cancellation is raised again
        answer = _failed(connection, route, error)
    connection.task = None
    connection.finish(answer, close=front.draining)


def _failed(connection: ServerConnection, route: Route, error: BaseException) -> bytes:
    if not isinstance(error, Exception):
        connection.task = None
        connection.transport.abort()  # the caller must not take silence for an answer
        raise error
    shown = shield(route.operation, error)
    return failed(route.operation, shown, own=connection.own, close=connection.front.draining)


def _ok(connection: ServerConnection, out: bytes) -> bytes:
    close = CLOSE if connection.front.draining else b""
    if len(out) >= COALESCED:
        connection.transport.write(b"%b%d%b\r\n\r\n" % (OK_JSON, len(out), close))
        return out
    return b"%b%d%b\r\n\r\n%b" % (OK_JSON, len(out), close, out)
