"""The address of who sends a request, for operations that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.security.forwarding import ContradictionError, is_forwarded
from meristem.transports.http.server.head import UnsoundError

if TYPE_CHECKING:
    import asyncio

    from meristem.security.forwarding import TrustedProxies
    from meristem.transports.http.request import Request


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
