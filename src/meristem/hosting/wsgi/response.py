"""An app's answer as it makes it, in its thread: the rules of PEP 3333 for `start_response`, `write` and the body."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from meristem.hosting.wsgi.channel import Channel
    from meristem.hosting.wsgi.files import FileWrapper

logger = logging.getLogger(__name__)

WSGIApp: TypeAlias = "Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]"
ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None]"
TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.1
UNSOUND: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")  # section 5.5: a line break would begin a header of its own
# PEP 3333: these belong to the connection, which is the server's.
HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    )
)
WITHOUT_BODY: Final = frozenset((204, 205, 304))


class WSGIResponse:
    """One answer. `label` says for logs which."""

    def __init__(self, channel: Channel, method: str, label: str) -> None:
        self._channel = channel
        self._is_head = method == "HEAD"
        self._label = label
        self._status = 0  # none as long as the app has said nothing
        self._headers: list[tuple[bytes, bytes]] = []
        self._left: int | None = None  # bytes of the body to come, where the app says how many
        self._begun = False
        self.ended = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333: called once, or again with `exc_info`, which is raised when the head has been sent.

        Raises ValueError for what cannot stand in a head. What belongs to the connection is left out.
        """
        if exc_info is not None:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # PEP 3333: no circle of frames
        elif self._status:
            raise RuntimeError("start_response was called before; with exc_info it may be called again")
        self._status = _status_of(status)
        self._left, self._headers = None, []
        for name, value in headers:
            self._add(name, value)
        return self.write

    def write(self, data: bytes) -> None:
        """Send a part of the body; the head goes before the first that is not empty."""
        if not isinstance(data, bytes):
            raise TypeError(f"the body is {type(data).__name__}: WSGI asks for bytes")
        if not self._status:
            raise RuntimeError("the body comes before start_response was called")
        if not data or self.ended:
            return
        if self._has_no_body:
            self._send(b"", end=True)
        elif self._left is None:
            self._send(data, end=False)
        else:
            if len(data) > self._left:
                logger.warning("%s: the body is longer than its Content-Length; the rest is left out", self._label)
                data = data[: self._left]
            self._left -= len(data)
            self._send(data, end=not self._left)

    def send_file(self, file: FileWrapper) -> bool:
        """Whether the event loop has taken over a file: it sends and closes it, and the thread is free at once."""
        rest = None if self._begun or not self._status or self._has_no_body else file.rest()
        if not rest or self._left == 0:
            return False
        if self._left is None:
            self._set_length(rest)
        self._channel.put_file((self._status, self._headers), file, self._left or rest)
        self.ended = True
        return True

    def send_all(self, body: Iterable[bytes]) -> None:
        """Send what the app returned, and no more than is asked for."""
        if isinstance(body, list | tuple) and not self._begun:
            self._send_known(body)
        else:
            for each in body:
                self.write(each)
                if self.ended:
                    return
        self._end()

    def _send_known(self, parts: list[bytes] | tuple[bytes, ...]) -> None:
        """All of a body at once: then its length is known."""
        if self._status and self._left is None and all(type(each) is bytes for each in parts):
            whole = b"".join(parts)
            self._set_length(len(whole))
            self.write(whole)
        else:
            for each in parts:
                self.write(each)

    def _end(self) -> None:
        if self.ended:
            return
        if not self._status:
            raise RuntimeError("the app returned and did not call start_response")
        if not self._begun and self._left is None:
            self._set_length(0)
        if self._left and not self._has_no_body:
            raise RuntimeError(f"the body ended {self._left} bytes before its Content-Length")
        self._send(b"", end=True)

    def _set_length(self, length: int) -> None:
        if not self._has_no_body:
            self._left = length
            self._headers.append((b"content-length", str(length).encode()))

    def _send(self, data: bytes, *, end: bool) -> None:
        head = None if self._begun else (self._status, self._headers)
        self._begun = True
        self.ended = end
        self._channel.put(head, data, end=end)

    @property
    def _has_no_body(self) -> bool:
        return self._is_head or self._status in WITHOUT_BODY

    def _add(self, name: str, value: str) -> None:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"the header {name!r} is {type(value).__name__}: WSGI asks for text")
        if not TOKEN.fullmatch(name) or UNSOUND.search(value):
            raise ValueError(f"the header {name!r} cannot be sent: {value!r}")
        lower = name.lower()
        if lower in HOP_BY_HOP:
            return
        if lower == "content-length":
            if not value.isdecimal() or self._left is not None:
                raise ValueError(f"Content-Length {value!r} is no length or not the only one")
            if self._status in WITHOUT_BODY:
                return
            self._left = int(value)
        self._headers.append((lower.encode("ascii"), value.strip().encode("latin-1")))


def _status_of(status: str) -> int:
    if not isinstance(status, str):
        raise TypeError(f"the status is {type(status).__name__}: WSGI asks for text")
    code = status[:3]
    if not code.isdecimal() or not 200 <= int(code) < 600 or status[3:4].strip():
        raise ValueError(f"{status!r} is no status of a final answer, as '200 OK' is")
    return int(code)
