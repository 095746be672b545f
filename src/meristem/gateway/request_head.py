"""The heads of forwarded requests, made anew of what the edge has understood, and what of an answer names a path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from meristem.asgi import OF_WEBSOCKETS
from meristem.gateway.answer import OF_THE_HOP, named
from meristem.head_fields import BAGGAGE, TRACE, TRACE_STATE
from meristem.security.forwarding import APP, FORWARDED, GATEWAY_ROUTE, ORIGIN, ROUTE, is_forwarded, origin_text
from meristem.security.identity_fields import STATE as USER
from meristem.security.identity_fields import identity_fields
from meristem.transports.metadata import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.asgi import Field, Scope
    from meristem.context import Identity

HTTP_SCHEMES: Final = {socket: scheme for scheme, socket in OF_WEBSOCKETS.items()}
WRITTEN_HERE: Final = OF_THE_HOP | {b"content-length", b"expect", APP, ORIGIN, ROUTE, TOKEN}
END_TO_END: Final = frozenset((b"host", TRACE, TRACE_STATE, BAGGAGE))
"""What the edge itself says: a client that names it in `Connection` can't have it left out."""

HANDSHAKE: Final = frozenset(
    b"sec-websocket-" + each for each in (b"key", b"version", b"extensions", b"accept", b"protocol")
)


class BodyForm:
    """How a request's body is framed: not at all, by its length, or in chunks; `expects` asks before it is sent."""

    __slots__ = ("expects", "is_chunked", "length")

    def __init__(self, fields: list[Field]) -> None:
        self.is_chunked = self.expects = False
        self.length: bytes | None = None
        for name, value in fields:
            if name == b"content-length":
                self.length = value
            elif name == b"transfer-encoding":
                self.is_chunked = True
            elif name == b"expect":
                self.expects = value.lower() == b"100-continue"

    @property
    def is_there(self) -> bool:
        """Whether there is a body that may have bytes."""
        return self.is_chunked or self.length not in (None, b"0")

    def lines(self) -> list[bytes]:
        """The fields that tell it."""
        lines = []
        if self.is_chunked:
            lines.append(b"transfer-encoding: chunked")
        elif self.length is not None:
            lines.append(b"content-length: %d" % int(self.length))
        if self.expects and self.is_there:
            lines.append(b"expect: 100-continue")
        return lines


class UpstreamHead(Protocol):
    """Writes the head that an upstream is sent, and reads those that it answers with."""

    def head(self, scope: Scope, body: list[bytes]) -> bytes:
        """The head, up to and with the empty line; `body` are the lines that tell how the body is framed."""
        ...

    def path(self, path: bytes) -> bytes:
        """A path of the edge as the upstream knows it."""
        ...

    def returned(self, fields: list[Field]) -> list[Field]:
        """The fields of an answer as the client is to see them."""
        ...


class OwnHead:
    """To a process of the system: which app is meant, and where the request came from.

    A token proves who says so, and tells for which user, where the gateway knows that.
    """

    def __init__(self, app: str, prove: Callable[[Identity | None], str] | None) -> None:
        self._app = b"meristem-app: %b" % app.encode()
        self._prove = prove

    def head(self, scope: Scope, body: list[bytes]) -> bytes:
        """The head, up to and with the empty line; `body` are the lines that tell how the body is framed."""
        origin = origin_text(scope["client"], scope["server"], _scheme(scope))
        own = [self._app, b"meristem-origin: %b" % origin]
        if route := scope.get("state", {}).get(GATEWAY_ROUTE):  # for its line of the access log
            own.append(b"meristem-route: %b" % route.encode())
        if _host(scope) is None:  # of HTTP/1.0; an empty one is none, as the other end knows
            own.append(b"host: ")
        if self._prove is not None:
            own.append(b"meristem-token: %b" % self._prove(_user(scope)).encode())
        return _head(scope, scope["raw_path"], [*_kept(scope, WRITTEN_HERE), *own, *body])

    def path(self, path: bytes) -> bytes:
        """As it is."""
        return path

    def returned(self, fields: list[Field]) -> list[Field]:
        """As they are: an app of the system knows its mount."""
        return fields


class ForeignHead:
    """To a program that knows nothing of this system: as any proxy tells a request, by `Forwarded` and its elders.

    It sees the path below the `mount`, which `X-Forwarded-Prefix` tells. What a client wrote in such fields is gone,
    and so is what a program might take for them: many know a field as a variable, in which `X_Forwarded_For` is
    `X-Forwarded-For`, and `Proxy` is the proxy of what it calls itself (RFC 3875, section 4.1.18). Who sends a request
    is told by fields that only the edge writes, where the gateway knows it. One that `is_told`
    its mount in another way needs no prefix before the paths that it redirects to.
    """

    def __init__(self, mount: str, *, is_told: bool = False) -> None:
        self._mount = mount.rstrip("/").encode()
        self._before = b"" if is_told else quoted(self._mount)

    def head(self, scope: Scope, body: list[bytes]) -> bytes:
        """As `OwnHead.head`."""
        dropped = WRITTEN_HERE | {b"proxy"} | (named(scope["headers"]) - END_TO_END)
        kept = [each for each in _kept(scope, dropped) if not _is_doubtful(each.partition(b":")[0])]
        scheme = _scheme(scope).encode()
        host = _host(scope)
        client = scope["client"]
        who = "unknown" if client is None or client[1] is None else str(client[0])
        node = f'"[{who}]"' if ":" in who else who
        told = [
            b"x-forwarded-for: %b" % who.encode(),
            b"x-forwarded-proto: %b" % scheme,
            b"%b: for=%b;proto=%b" % (FORWARDED, node.encode(), scheme) + (b';host="%b"' % host if host else b""),
        ]
        if host is None:
            told.append(b"host: %b" % _own_host(scope))
        elif host:
            told.append(b"x-forwarded-host: %b" % host)
        if (user := _user(scope)) is not None:
            told += [b"%b: %b" % field for field in identity_fields(user)]
        if self._mount:
            told.append(b"x-forwarded-prefix: %b" % quoted(self._mount))
        return _head(scope, self.path(scope["raw_path"]), [*kept, *told, *body])

    def path(self, path: bytes) -> bytes:
        """What of it lies below the mount."""
        return below(path, self._mount)

    def returned(self, fields: list[Field]) -> list[Field]:
        """With the mount before a path that redirects, unless that is there already: few programs heed the prefix."""
        if not self._before:
            return fields
        return [(name, self._public(value) if name == b"location" else value) for name, value in fields]

    def _public(self, location: bytes) -> bytes:
        is_path = location[:1] == b"/" and location[1:2] != b"/"  # `//host/path` names another host
        is_below = re.match(re.escape(self._before) + rb"(?:[/?#]|\Z)", location) is not None
        return self._before + location if is_path and not is_below else location


def _user(scope: Scope) -> Identity | None:
    found: Identity | None = scope.get("state", {}).get(USER)
    return found


def _host(scope: Scope) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == b"host"), None)


def _own_host(scope: Scope) -> bytes:
    """What a client that names no host has asked, as HTTP/1.1 must name one (RFC 9112, 3.2); empty on a Unix socket."""
    server = scope.get("server")
    if server is None or server[1] is None:
        return b""
    return (f"[{server[0]}]:{server[1]}" if ":" in server[0] else f"{server[0]}:{server[1]}").encode()


def _is_doubtful(name: bytes) -> bool:
    return b"_" in name or is_forwarded(name)


def _scheme(scope: Scope) -> str:
    scheme: str = scope["scheme"]
    return HTTP_SCHEMES.get(scheme, scheme)


def below(path: bytes, mount: bytes) -> bytes:
    """What of a percent-encoded path lies below a mount, which is not encoded and begins that path.

    Counted by characters as they are meant: `/%70hp/x` lies below `/php`.
    """
    at = 0
    for _ in range(len(mount)):
        at += 3 if path[at : at + 1] == b"%" and _is_hex(path[at + 1 : at + 3]) else 1
    rest = path[at:]
    if rest[:1] == b"/":
        return rest
    return b"/" + rest[3:] if rest[:3].lower() == b"%2f" else b"/"


def quoted(path: bytes) -> bytes:
    """A path as a field may hold it."""
    return b"".join(b"%%%02X" % each if each <= 0x20 or each >= 0x7F else bytes((each,)) for each in path)


def _is_hex(digits: bytes) -> bool:
    return len(digits) == 2 and all(each in b"0123456789abcdefABCDEF" for each in digits)


def _kept(scope: Scope, dropped: frozenset[bytes]) -> list[bytes]:
    """The lines of a request that go on."""
    fields: list[Field] = scope["headers"]
    if scope["type"] == "websocket":
        dropped = dropped | HANDSHAKE
    return [b"%b: %b" % field for field in fields if field[0] not in dropped]


def _head(scope: Scope, path: bytes, lines: list[bytes]) -> bytes:
    query = scope["query_string"]
    target = b"%b?%b" % (path, query) if query else path
    method = scope.get("method", "GET").encode()
    return b"\r\n".join((b"%b %b HTTP/1.1" % (method, target), *lines, b"", b""))
