"""How long a connection's peer may take: what is overdue is told why where that is possible, and closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.transports.http.server.phases import BODY, DELEGATED, HEAD, IDLE, LINGER

if TYPE_CHECKING:
    from meristem.transports.http.server.connection import ServerConnection


def check(connection: ServerConnection, now: float) -> None:
    """Close the connection when its peer took longer than the limit of its phase, at `now` of the reaper's clock."""
    phase, limits, waited = connection.phase, connection.front.limits, now - connection.mark
    if connection.paused:
        if waited > limits.write_seconds:
            connection.transport.abort()
    elif phase == IDLE:
        if waited > (limits.first_seconds if connection.front.draining else limits.idle_seconds):
            connection.let_go()
    elif phase == HEAD and waited > limits.head_seconds:
        connection.refuse(408, f"the head of the request took longer than {limits.head_seconds:g} s")
    elif phase == BODY and waited > limits.body_seconds:
        connection.refuse(408, f"the body of the request took longer than {limits.body_seconds:g} s")
    elif phase == LINGER and waited > limits.linger_seconds:
        connection.transport.abort()
    elif phase == DELEGATED:
        _check_delegated(connection, now, waited)


def _check_delegated(connection: ServerConnection, now: float, waited: float) -> None:
    asgi, limits = connection.asgi, connection.front.limits
    if asgi is None or asgi.at_boundary:
        connection.phase, connection.mark = IDLE, now
    elif connection.transport.is_reading() and (
        (asgi.waits_for_head and waited > limits.head_seconds) or (asgi.waits_for_body and waited > limits.body_seconds)
    ):
        connection.transport.abort()
