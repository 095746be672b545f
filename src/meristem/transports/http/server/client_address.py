"""The address of who sends a request, for operations that ask for it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from meristem.security.forwarding import ContradictionError, is_forwarded
from meristem.transports.http.server.head import UnsoundError

if TYPE_CHECKING:
    import asyncio

    from meristem.security.forwarding import TrustedProxies
    from meristem.transports.http.request import Request

CREDENTIALS: Final = struct.Struct("3i")  # process, user and group: unix(7), SO_PEERCRED


def client_address(request: Request | None, transport: asyncio.BaseTransport, proxies: TrustedProxies) -> str:
    """The address of the client at the first of the trusted proxies, empty for one on a Unix socket.

    Raises UnsoundError where the proxy and its client contradict each other.
    """
    found = transport.get_extra_info("peername")
    peer = str(found[0]) if isinstance(found, tuple) else None
    if request is not None and proxies.trusts(peer) and any(is_forwarded(name) for name, _ in request.fields):
        try:
            origin = proxies.origin(peer, request.fields)
        except ContradictionError as error:
            raise UnsoundError(400, f"{error}: the proxy must set or remove both") from None
        if origin.client is not None:
            return origin.client[0]
    return peer or ""


def peer_user(transport: asyncio.BaseTransport) -> int | None:
    """The id of the user whose process is at the other end of a Unix socket; None where the system does not tell."""
    found = transport.get_extra_info("socket")
    if found is None or not hasattr(socket, "SO_PEERCRED") or found.family != socket.AF_UNIX:
        return None
    user: int = CREDENTIALS.unpack(found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[1]
    return user
