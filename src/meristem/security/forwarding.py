"""Where a request came from that passed proxies: what the trusted ones among them say of it.

A proxy adds what it sees at the right: `X-Forwarded-For`, or an element of `Forwarded` (RFC 7239). So the list is
walked from the right for as long as the hop that wrote an entry is trusted; what stands further left anybody may have
written, and it is cut off.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import quote, unquote

from meristem.errors import ConfigurationError
from meristem.security.identity_fields import tells_who
from meristem.security.networks import Networks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meristem.asgi import Field

UNIX: Final = "unix"
FORWARDED: Final = b"forwarded"
X_FOR: Final = b"x-forwarded-for"
X_PROTO: Final = b"x-forwarded-proto"
X_HOST: Final = b"x-forwarded-host"
LONGEST: Final = 8 * 1024  # of a `Forwarded` that is read: each of its elements takes a while
APP: Final = b"meristem-app"
ORIGIN: Final = b"meristem-origin"
ROUTE: Final = b"meristem-route"
"""Fields by which the edge of a system hands a request to an app of another process: from outside they never come."""

GATEWAY_ROUTE: Final = "gateway_route"
"""Where the state of an ASGI scope has the route of the gateway that let its request in."""

SAYS_WHERE: Final = re.compile(
    b"x[-_]forwarded[-_].*|x[-_]real[-_]ip|%b"
    % b"|".join(re.escape(each).replace(rb"\-", b"[-_]") for each in (FORWARDED, APP, ORIGIN, ROUTE))
)
READ_HERE: Final = (FORWARDED, X_FOR, X_PROTO, X_HOST, APP, ORIGIN, ROUTE)
MOST_HOPS: Final = 32  # so many proxies nobody has; what stands before them a client has written
SCHEMES: Final = ("http", "https")
HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
PAIR: Final = re.compile(r'[ \t]*(?:([\w!#$%&\'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s";,]+))?[ \t]*(;|,|\Z)', re.ASCII)


class ContradictionError(ValueError):
    """`Forwarded` and `X-Forwarded-For` name different clients: one of them is not the proxy's."""


class Hop(NamedTuple):
    """What a proxy says of the request as it received it; None for what it does not say, or not soundly."""

    client: tuple[str, int] | None
    scheme: str | None
    host: str | None
    text: str


class ClientOrigin(NamedTuple):
    """Where a request came from; None for what nobody says. `fields` are those of its head that may be believed."""

    client: tuple[str, int] | None
    scheme: str | None
    host: str | None
    fields: list[Field]


class TrustedProxies:
    """The peers whose word counts: addresses, networks, and `unix` for who connects to a Unix socket.

    Raises ConfigurationError for what is none of these.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        named = [*entries]
        self._unix = UNIX in named
        try:
            self._networks = Networks(each for each in named if each != UNIX)
        except ValueError as error:
            message = f"trusted_proxies: {error}; write an address, a network like `10.0.0.0/8`, or `unix`"
            raise ConfigurationError(message) from None

    def trusts(self, peer: str | None) -> bool:
        """Whether the peer at an address is believed; it has none on a Unix socket."""
        return self._unix if peer is None else peer in self._networks

    def origin(self, peer: str | None, fields: Sequence[Field]) -> ClientOrigin:
        """Where the request came from that `peer` sent with `fields`; raises ContradictionError."""
        others = [each for each in fields if not is_forwarded(each[0])]
        if not self.trusts(peer):
            return ClientOrigin(None, None, None, others)
        by_x, standard = _x_hops(fields), _standard_hops(fields)
        x_believed, standard_believed = self._believed(by_x), self._believed(standard)
        told, contrary = _client(x_believed), _client(standard_believed)
        if by_x and standard and (told and told[0]) != (contrary and contrary[0]):
            raise ContradictionError("`Forwarded` and `X-Forwarded-For` name different clients")
        believed = x_believed or standard_believed
        kept = [each for each in fields if _is_kept(each[0])]
        if x_believed:
            kept.append((X_FOR, ", ".join(each.text for each in x_believed).encode("latin-1")))
        if standard_believed:
            kept.append((FORWARDED, ", ".join(each.text for each in standard_believed).encode("latin-1")))
        scheme, host = _said(fields, X_PROTO, len(x_believed)), _said(fields, X_HOST, len(x_believed))
        scheme = _scheme(scheme) or (believed[0].scheme if believed else None)
        host = _host(host) or (believed[0].host if believed else None)
        kept += [(X_PROTO, scheme.encode())] if scheme else []
        kept += [(X_HOST, host.encode())] if host else []
        return ClientOrigin(_client(believed), scheme, host, others + kept)

    def _believed(self, hops: list[Hop]) -> list[Hop]:
        """The hops that trusted ones have written, the client's own first."""
        first = len(hops)
        for at in range(len(hops) - 1, -1, -1):
            client = hops[at].client
            if client is None:  # hidden, or nonsense: what stands before it was written by nobody knows whom
                break
            first = at
            if not self.trusts(client[0]):
                break
        return hops[first:]


def is_forwarded(name: bytes) -> bool:
    """Whether a field, its name in lower case, says where a request came from or who sent it, or is taken for that.

    An app that knows fields as variables, as Django does by ASGI too, can't tell `X_Forwarded_For` from the true one.
    """
    return SAYS_WHERE.fullmatch(name) is not None or tells_who(name)


def _is_kept(name: bytes) -> bool:
    """Whether a field that nothing here reads is a trusted proxy's word; who sent a request not even that one says."""
    return SAYS_WHERE.fullmatch(name) is not None and name not in READ_HERE and b"_" not in name


Peer: TypeAlias = "tuple[str, int | None] | None"


def origin_text(client: Peer, server: Peer, scheme: str) -> bytes:
    """Where a request came from, as the value of a field: `https 192.0.2.1 51234 shop.example 443`, `-` for nothing."""
    return " ".join((scheme, *_end_text(client), *_end_text(server))).encode()


def read_origin(text: bytes) -> tuple[Peer, Peer, str] | None:
    """Client, server and scheme of `origin_text`; None for what is none."""
    parts = text.decode("latin-1").split(" ")
    if len(parts) != 5 or parts[0] not in SCHEMES:
        return None
    scheme, client, client_port, server, server_port = parts
    return _end_of(client, client_port), _end_of(server, server_port), scheme


def _end_text(end: Peer) -> tuple[str, str]:
    if end is None:
        return "-", "-"
    return quote(end[0], safe=":"), "-" if end[1] is None else str(end[1])


def _end_of(name: str, port: str) -> Peer:
    return None if name == "-" else (unquote(name), int(port) if port.isdecimal() else None)


def _client(hops: list[Hop]) -> tuple[str, int] | None:
    return hops[0].client if hops else None


def _values(fields: Sequence[Field], name: bytes) -> list[str]:
    joined = ",".join(value.decode("latin-1") for each, value in fields if each == name)
    return [stripped for each in joined.split(",") if (stripped := each.strip())][-MOST_HOPS:]


def _said(fields: Sequence[Field], name: bytes, hops: int) -> str | None:
    """What the farthest trusted hop says: each adds a value, or the last one sets the only one."""
    values = _values(fields, name)
    return values[max(0, len(values) - max(1, hops))] if values else None


def _x_hops(fields: Sequence[Field]) -> list[Hop]:
    return [Hop(_address(each), None, None, each) for each in _values(fields, X_FOR)]


def _standard_hops(fields: Sequence[Field]) -> list[Hop]:
    """The elements of `Forwarded`; none where it is malformed (RFC 7239, section 4) or long."""
    text = ",".join(value.decode("latin-1") for name, value in fields if name == FORWARDED)
    elements: list[tuple[dict[str, str], str]] = []
    said: dict[str, str] = {}
    at = start = 0
    if len(text) > LONGEST:
        return []
    while at < len(text):
        match = PAIR.match(text, at)
        if match is None:
            return []
        name, value, end = match.groups()
        if name is not None:
            said[name.lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        at = match.end()
        if end != ";" and said:
            elements.append((said, text[start : match.start(3)].strip()))
        if end != ";":
            said, start = {}, at
    return [
        Hop(_address(said.get("for", "")), _scheme(said.get("proto")), _host(said.get("host")), whole)
        for said, whole in elements[-MOST_HOPS:]
    ]


def _scheme(text: str | None) -> str | None:
    return text.lower() if text is not None and text.lower() in SCHEMES else None


def _host(text: str | None) -> str | None:
    return text if text is not None and HOST.fullmatch(text) else None


def _address(text: str) -> tuple[str, int] | None:
    """Address and port of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`; port 0 for none."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
    try:
        address = str(ip_address(host))
    except ValueError:
        return None
    return address, int(port) if port.isdecimal() and len(port) <= 5 else 0
