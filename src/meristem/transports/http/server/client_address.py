"""Who sends a request: the address for operations that ask for it, and by which scheme to which host."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.security.forwarding import ContradictionError, is_forwarded
from meristem.transports.http.server.head import UnsoundError

if TYPE_CHECKING:
    import asyncio

    from meristem.security.forwarding import ClientOrigin, TrustedProxies
    from meristem.transports.http.request import Request

CREDENTIALS: Final = struct.Struct("3i")  # process, user and group: unix(7), SO_PEERCRED


class Sender(NamedTuple):
    """Who sent a request and how: `address` is empty for one on a Unix socket, `host` where none is named."""

    address: str
    scheme: str
    host: bytes


def sender_of(request: Request, transport: asyncio.BaseTransport, proxies: TrustedProxies) -> Sender:
    """What the first of the trusted proxies received, or this server; raises UnsoundError as `client_address`."""
    scheme = "https" if transport.get_extra_info("sslcontext") else "http"
    host = request.head.get(b"host", b"")
    origin, peer = _origin(request, transport, proxies)
    if origin is None:
        return Sender(peer or "", scheme, host)
    address = (peer or "") if origin.client is None else origin.client[0]
    return Sender(address, origin.scheme or scheme, host if origin.host is None else origin.host.encode())


def client_address(request: Request | None, transport: asyncio.BaseTransport, proxies: TrustedProxies) -> str:
    """The address of the client at the first of the trusted proxies, empty for one on a Unix socket.

    Raises UnsoundError where the proxy and its client contradict each other.
    """
    origin, peer = _origin(request, transport, proxies)
    return (peer or "") if origin is None or origin.client is None else origin.client[0]


def _origin(
    request: Request | None, transport: asyncio.BaseTransport, proxies: TrustedProxies
) -> tuple[ClientOrigin | None, str | None]:
    """What proxies tell, if they do and are believed, and the address of the peer."""
    found = transport.get_extra_info("peername")
    peer = str(found[0]) if isinstance(found, tuple) else None
    if request is not None and proxies.trusts(peer) and any(is_forwarded(name) for name, _ in request.fields):
        try:
            return proxies.origin(peer, request.fields), peer
        except ContradictionError as error:
            raise UnsoundError(400, f"{error}: the proxy must set or remove both") from None
    return None, peer


def peer_user(transport: asyncio.BaseTransport) -> int | None:
    """The id of the user whose process is at the other end of a Unix socket; None where the system does not tell."""
    found = transport.get_extra_info("socket")
    if found is None or not hasattr(socket, "SO_PEERCRED") or found.family != socket.AF_UNIX:
        return None
    user: int = CREDENTIALS.unpack(found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[1]
    return user
