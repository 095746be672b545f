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
    idempotency-key: 7d02…
    content-length: 17
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from meristem.transports.metadata import TOKEN, carried, remaining

if TYPE_CHECKING:
    from meristem.contracts.call import Call
    from meristem.transports.http.address import Address

OWN_AGENT: Final = b"meristem/1"
"""The `user-agent` of Meristem's own client; its JSON is exact."""

LAST_CONSTANT: Final = b"\r\nconnect-protocol-version: 1\r\n"
CHANGING: Final = re.compile(
    rb"(?:connect-timeout-ms: (\d{1,10})\r\n)?"
    rb"(?:traceparent: ([0-9a-f-]{55})\r\n)?"
    rb"(?:tracestate: ([!-~](?:[ -~]{0,510}[!-~])?)\r\n)?"
    rb"(?:idempotency-key: ([!-~](?:[ -~]{0,254}[!-~])?)\r\n)?"
    rb"content-length: (\d{1,12})\r\n\r\n"
)

Changing: TypeAlias = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes]
"""Timeout, traceparent, tracestate, idempotency key and content length, as they were sent."""


def constant(path: str, media: str, address: Address) -> bytes:
    """The first part of a head, without the token and the last constant line."""
    lines = (
        f"POST {path} HTTP/1.1",
        f"host: {address.authority}",
        f"user-agent: {OWN_AGENT.decode()}",
        f"content-type: {media}",
    )
    return "\r\n".join(lines).encode("latin-1")


def finished(first: bytes, token: str | None) -> bytes:
    """The constant part as a whole; what changes follows."""
    if token is None:
        return first + LAST_CONSTANT
    return b"%b\r\n%b: %b%b" % (first, TOKEN, token.encode("latin-1"), LAST_CONSTANT)


def written(head: bytes, call: Call, body: bytes, address: Address) -> bytes:
    """A request: the constant part of its head, what changes, and the body. Raises CallError for a call too late."""
    operation, context = call.operation, call.context
    if (deadline := context.deadline) is not None:
        head = b"%bconnect-timeout-ms: %d\r\n" % (head, remaining(operation, deadline, address) * 1000)
    trace, state, key = carried(operation, context)
    if trace is not None:
        head = b"%btraceparent: %b\r\n" % (head, trace)
    if state is not None:
        head = b"%btracestate: %b\r\n" % (head, state)
    if key is not None:
        head = b"%bidempotency-key: %b\r\n" % (head, key)
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
