"""Answers of the server as bytes on HTTP/1.1: replies, Connect errors and refusals of malformed requests."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.codec import encode
from meristem.errors import CallError, Fault
from meristem.transports.http.connect.codec import compressed
from meristem.transports.http.connect.errors import HTTP_STATUS, encode_wire_error, fields_of, wire_error

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation
    from meristem.transports.http.connect.codec import Route
    from meristem.transports.metadata import Head

OK_JSON: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
CLOSE: Final = b"\r\nconnection: close"
NOT_SERVED: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
"""Said before an idle connection is closed: whatever is under way on it is not served (RFC 9110, 15.5.9)."""


def phrase(status: int) -> str:
    """The reason phrase of a status."""
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"


def response(status: int, media: str, body: bytes, *extra: str, close: bool = False) -> bytes:
    """A whole response; `extra` are header lines."""
    lines = [f"HTTP/1.1 {status} {phrase(status)}", f"content-type: {media}", f"content-length: {len(body)}", *extra]
    if close:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def replied(route: Route, head: Head, reply: Any, *, close: bool) -> bytes:
    """The response that carries a reply to a client of another make."""
    media, out = route.written(head, reply)
    packed = compressed(head.get(b"accept-encoding", b""), out)
    if packed is None:
        return response(200, media, out, close=close)
    return response(200, media, packed, "content-encoding: gzip", "vary: accept-encoding", close=close)


def failed(operation: Operation, error: Fault | CallError, *, own: bool, close: bool = False, status: int = 0) -> bytes:
    """The response that carries an error in the Connect protocol."""
    extra = (f"{name.decode()}: {value.decode()}" for name, value in fields_of(error))
    body = encode_wire_error(wire_error(operation, error, own=own))
    return response(status or HTTP_STATUS[error.code], "application/json", body, *extra, close=close)


def refused(status: int, detail: str) -> bytes:
    """The refusal of a request that is no sound HTTP (RFC 9457); the connection ends with it."""
    problem = {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail}
    return response(status, "application/problem+json", encode(problem), close=True)
