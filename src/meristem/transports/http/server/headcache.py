"""Heads that Meristem's own client writes: their constant part is parsed once and recognized from then on.

The client writes what is the same for every call of an operation first (up to its token), and what changes last, in
one order. A head whose first part was once read by the HTTP parser, and whose last part has exactly the form below,
holds nothing that the parser would read otherwise; every other head goes to the parser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from meristem.transports.http.connect.codec import Route
    from meristem.transports.metadata import Head

LAST_CONSTANT: Final = b"\r\nconnect-protocol-version: 1\r\n"
CHANGING: Final = re.compile(
    rb"(?:connect-timeout-ms: (\d{1,10})\r\n)?"
    rb"(?:traceparent: ([0-9a-f-]{55})\r\n)?"
    rb"(?:tracestate: ([!-~](?:[ -~]{0,510}[!-~])?)\r\n)?"
    rb"(?:idempotency-key: ([!-~](?:[ -~]{0,254}[!-~])?)\r\n)?"
    rb"content-length: (\d{1,12})\r\n\r\n"
)
MOST_KNOWN: Final = 4096  # tokens change; the memory for them is bounded

Changing: TypeAlias = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes]
"""Timeout, traceparent, tracestate, idempotency key and content length, as they were sent."""


class HeadCache:
    """What is known of the constant parts of heads: the route that they name and the token that they carry."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Route, str | None]] = {}

    def recognize(self, data: bytes) -> tuple[Route, str | None, Changing, int] | None:
        """Route, token, the changing part and where the body begins; None when the parser must read the head."""
        at = data.find(LAST_CONSTANT) + len(LAST_CONSTANT)
        known = self._known.get(data[:at])
        if known is None or (match := CHANGING.match(data, at)) is None:
            return None
        return known[0], known[1], match.groups(), match.end()  # type: ignore[return-value]

    def learn(self, data: bytes, end: int, route: Route, head: Head) -> None:
        """Remember the constant part of a head that the parser has read; it ends before `end`."""
        at = data.find(LAST_CONSTANT, 0, end) + len(LAST_CONSTANT)
        match = CHANGING.match(data, at)
        if match is None or match.end() != end or at < len(LAST_CONSTANT):
            return
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        token = head.get(b"meristem-token")
        self._known[data[:at]] = (route, None if token is None else token.decode("latin-1"))
