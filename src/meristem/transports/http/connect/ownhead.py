"""The head that Meristem's own client writes, in the form by which Meristem's server recognizes it.

What is the same for every call of an operation comes first (up to the client's token), what changes last, in one
order. So the server need parse the first part only once, and the last part is read by one strict pattern:

    POST /shop.v1.Rooms/Book HTTP/1.1      first: learned from the parser
    host: localhost
    user-agent: meristem/1
    content-type: application/json
    meristem-token: eyJ…
    connect-protocol-version: 1            the last constant line
    connect-timeout-ms: 4998               last: each line may be missing but the length
    traceparent: 00-4bf9…-01
    baggage: locale=de
    idempotency-key: 7d02…
    meristem-positions: 1f0c…
    content-length: 17
"""

from __future__ import annotations

import re
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias

from meristem.errors import MisuseError
from meristem.head_fields import BAGGAGE, POSITIONS, TRACE, TRACE_STATE
from meristem.transports.metadata import KEY, TOKEN, carried, too_late

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.context import Context
    from meristem.contracts.operation import Operation
    from meristem.transports.endpoint import Sign
    from meristem.transports.http.address import Address

OWN_AGENT: Final = b"meristem/1"
"""The `user-agent` of Meristem's own client; its JSON is exact."""

LAST_CONSTANT: Final = b"\r\nconnect-protocol-version: 1\r\n"
CHANGING: Final = re.compile(
    rb"(?:connect-timeout-ms: (\d{1,10})\r\n)?"
    rb"(?:traceparent: ([0-9a-f-]{55})\r\n)?"
    rb"(?:tracestate: ([!-~](?:[ -~]{0,510}[!-~])?)\r\n)?"
    rb"(?:baggage: ([!-~]{1,4096})\r\n)?"
    rb"(?:idempotency-key: ([!-~](?:[ -~]{0,253}[!-~])?)\r\n)?"
    rb"(?:meristem-positions: ([!-~]{1,1120})\r\n)?"
    rb"content-length: (\d{1,12})\r\n\r\n"
)
# What nearly every request is, in one formatting: each more copies it whole.
COMMON: Final = b"%bconnect-timeout-ms: %d\r\ntraceparent: %b\r\ncontent-length: %d\r\n\r\n%b"
CARRIED_FIELDS: Final = (TRACE, TRACE_STATE, BAGGAGE, KEY, POSITIONS)
NOTHING_ELSE: Final = (None, None, None, None)
# Where a callee answers before its items have ended, both ends would have to know how many it dropped.
CHUNKED: Final = b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"

FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([!-~](?:[ -~]*[!-~])?)")
"""A line of a head: a name and a value of visible characters (RFC 9110, section 5)."""
WRITTEN_HERE: Final = frozenset(
    {"host", "user-agent", "content-type", "content-length", "transfer-encoding", "connection", "expect", "upgrade"}
    | {"te", "trailer", "content-encoding", TOKEN.decode(), KEY.decode(), "traceparent", "tracestate", "baggage"}
    | {POSITIONS.decode()}
)

Changing: TypeAlias = tuple[
    bytes | None, bytes | None, bytes | None, bytes | None, bytes | None, bytes | None, bytes
]  # fmt: skip
"""Timeout, traceparent, tracestate, baggage, idempotency key, positions and content length, as they were sent."""


class RequestForm:
    """What the requests of one operation to one address have in common.

    `sign` makes the token of who calls, `lines` are header fields of the caller's own (`own_lines`).
    """

    __slots__ = ("_address", "_constant", "_head", "_operation", "_sign", "_token")

    def __init__(self, operation: Operation, address: Address, sign: Sign | None, lines: tuple[str, ...] = ()) -> None:
        media = "application/connect+json" if operation.lasts else "application/json"
        whole = (
            f"POST {operation.path} HTTP/1.1",
            f"host: {address.authority}",
            f"user-agent: {OWN_AGENT.decode()}",
            f"content-type: {media}",
            *lines,
        )
        self._constant = "\r\n".join(whole).encode("latin-1")
        self._head = self._constant + LAST_CONSTANT
        self._operation = operation
        self._address = address
        self._sign = sign
        self._token: str | None = None

    def opening(self, context: Context) -> bytes:
        """The head of a request whose body comes in chunks, and with which its connection ends. Raises as `request`."""
        whole = self.request(context, b"")
        # Nothing else in a head ends so: what stands in its lines has no line feed.
        return whole.removesuffix(b"content-length: 0\r\n\r\n") + CHUNKED

    def request(self, context: Context, body: bytes) -> bytes:
        """A request as bytes. Raises CallError for a call that is too late, and for what no field can hold."""
        if self._sign is not None and (token := self._sign(context)) != self._token:
            self._take(token)
        left = None
        if (deadline := context.deadline) is not None:
            left = int((deadline - monotonic()) * 1000)
            if left <= 0:
                raise too_late(self._operation, self._address)
        values = carried(self._operation, context)
        if left is not None and values[0] is not None and values[1:] == NOTHING_ELSE:
            return COMMON % (self._head, left, values[0], len(body), body)
        head = self._head
        if left is not None:
            head = b"%bconnect-timeout-ms: %d\r\n" % (head, left)
        for name, value in zip(CARRIED_FIELDS, values, strict=True):
            if value is not None:
                head = b"%b%b: %b\r\n" % (head, name, value)
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)

    def _take(self, token: str) -> None:
        self._token = token
        self._head = b"%b\r\n%b: %b%b" % (self._constant, TOKEN, token.encode("latin-1"), LAST_CONSTANT)


def own_lines(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The lines of a caller's own header fields; MisuseError for what is none, and for what the client itself says."""
    lines = tuple(f"{name.lower()}: {value.strip()}" for name, value in headers.items())
    for line in lines:
        name = line.partition(":")[0]
        if FIELD.fullmatch(line) is None:
            raise MisuseError(f"{name!r} is no header field: a name of letters and `-`, a value of visible characters")
        if name in WRITTEN_HERE or name.startswith("connect-"):
            raise MisuseError(f"the header field {name!r} is written by the client itself")
    return lines
