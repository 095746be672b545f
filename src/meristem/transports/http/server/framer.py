"""Turns the bytes of a connection into requests, one after the other: nobody else decides where one ends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from meristem.transports.http.server.body import ChunkedBody, IncomingBody, SizedBody
from meristem.transports.http.server.head import FieldsMemory, UnsoundError, body_length

if TYPE_CHECKING:
    from meristem.resilience.limits import Limits
    from meristem.transports.http.request import Request

END_OF_HEAD: Final = b"\r\n\r\n"
BARE: Final = re.compile(rb"(?<!\r)\n")


class Framer:
    """What has arrived on a connection: `inbox` holds what was not yet cut into heads and bodies."""

    __slots__ = ("_limits", "_memory", "_scanned", "inbox")

    def __init__(self, limits: Limits) -> None:
        self.inbox = bytearray()
        self._limits = limits
        self._memory = FieldsMemory()
        self._scanned = 0

    def request(self) -> Request | None:
        """The next request, cut out; None while its head is not there. Raises UnsoundError."""
        inbox, most = self.inbox, self._limits.head_bytes
        if inbox.startswith((b"\r", b"\n")):  # an empty line before a request is forgiven (RFC 9112, 2.2)
            del inbox[: len(inbox) - len(inbox.lstrip(b"\r\n"))]
        end = inbox.find(END_OF_HEAD, self._scanned)
        if end + 4 > most or (end < 0 and len(inbox) >= most):
            raise UnsoundError(431, f"the head of a request may have {most} bytes")
        if end < 0:
            self._foresee()
            self._scanned = max(0, len(inbox) - 3)
            return None
        self._scanned = 0
        head = bytes(memoryview(inbox)[: end + 4])
        del inbox[: end + 4]
        return self._memory.read(head, self._limits)

    def _foresee(self) -> None:
        """Raises UnsoundError where nothing that is yet to come makes a head of what has arrived.

        Who speaks another protocol, TLS perhaps, is told so at once and not when the time for a head is over.
        """
        inbox = self.inbox
        if inbox and not inbox[:1].isalpha():
            raise UnsoundError(400, "this is no request of HTTP/1.1; for TLS there may be another port")
        if BARE.search(inbox, self._scanned) is not None:
            raise UnsoundError(400, "each line of a head ends with a carriage return and a line feed")

    def body(self, request: Request) -> IncomingBody:
        """The body of a request; raises UnsoundError where its length can be read in two ways."""
        length = body_length(request)
        return ChunkedBody(self._limits) if length is None else SizedBody(length)
