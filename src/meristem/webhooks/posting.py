"""POST requests to a server of anybody's: over connections that are kept, within bounds of time and size."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httptools
import msgspec

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

CONNECTING: Final = 5.0  # seconds
_MOST_OF_HEAD: Final = 64 * 1024  # bytes
_MOST_OF_BODY: Final = 64 * 1024  # bytes that are read of an answer, to keep its connection
_MOST_IDLE: Final = 64
_IDLE: Final = 10.0  # seconds after which its server may be just about to close a connection
_PIECE: Final = 16 * 1024
_PORTS: Final = {"http": 80, "https": 443}


class PostAnswer(msgspec.Struct):
    """What was answered, with the beginning of its body."""

    status: int
    head: dict[bytes, bytes]
    body: bytes


class NotPostedError(Exception):
    """Nothing was sent: the server can't be reached, or its certificate does not hold."""


class AnswerLostError(Exception):
    """The request may have been served; its answer did not come, or is none."""


class _Reading:
    """An answer as the parser finds it."""

    def __init__(self) -> None:
        self.head: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.has_head = self.is_whole = False
        self.size = 0
        self.parser: Any = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, body: bytes) -> None:
        self.body += body[: max(0, _MOST_OF_BODY - len(self.body))]

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() < 200:  # what is said before it is no answer (RFC 9110, 15.2)
            self.head, self.has_head = {}, False
        else:
            self.is_whole = True

    def feed(self, data: bytes) -> None:
        """Take in what has arrived; raises AnswerLostError for what is no answer."""
        self.size += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.is_whole:
                raise AnswerLostError(f"the answer is no sound HTTP/1.1: {error}") from None
        if not self.has_head and self.size > _MOST_OF_HEAD:
            raise AnswerLostError(f"the head of the answer has more than {_MOST_OF_HEAD} bytes")

    @property
    def is_enough(self) -> bool:
        """Whether no more of it is read, for what it is the beginning of does not matter."""
        return self.is_whole or (self.has_head and self.size > _MOST_OF_HEAD + _MOST_OF_BODY)


class _Kept(msgspec.Struct):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    since: float = 0.0


class Poster:
    """Posts to one URL; redirects are not followed, for what is sent is meant for nobody else.

    `tls` is the context of connections to `https://`, which are verified.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = tls
        host = f"[{self._host}]" if ":" in self._host else self._host
        authority = host if parts.port is None else f"{host}:{parts.port}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._opening = f"POST {target} HTTP/1.1\r\nhost: {authority}\r\n"
        self._idle: list[_Kept] = []

    async def post(self, fields: Mapping[str, str], body: bytes) -> PostAnswer:
        """The answer; raises NotPostedError or AnswerLostError. Who waits for it bounds the time."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        request = f"{self._opening}{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        while (kept := self._take()) is not None:
            reading = _Reading()
            try:
                return await self._ask(kept, request, reading)
            except (AnswerLostError, OSError):
                if reading.size:
                    raise
                # Closed for having been idle, which nobody could know: once more, on another one.
        return await self._ask(await self._connect(), request, _Reading())

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            kept = self._idle.pop()
            kept.writer.transport.abort()

    def _take(self) -> _Kept | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            kept = self._idle.pop()
            if now - kept.since < _IDLE and not kept.writer.is_closing() and not kept.reader.at_eof():
                return kept
            kept.writer.transport.abort()
        return None

    async def _connect(self) -> _Kept:
        try:
            async with asyncio.timeout(CONNECTING):
                return _Kept(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))
        except TimeoutError:
            raise NotPostedError(f"no connection within {CONNECTING:g} s") from None
        except OSError as error:  # of TLS, too
            raise NotPostedError(str(error)) from error

    async def _ask(self, kept: _Kept, request: bytes, reading: _Reading) -> PostAnswer:
        is_kept = False
        try:
            kept.writer.write(request)
            # Not drained: a server may answer before it has read all, and then closes.
            while not reading.is_enough:
                data = await kept.reader.read(_PIECE)
                if not data and not reading.has_head:
                    raise AnswerLostError("the connection was closed before an answer came")
                if not data:
                    break
                reading.feed(data)
            is_kept = reading.is_whole and reading.parser.should_keep_alive()
            return PostAnswer(reading.parser.get_status_code(), reading.head, bytes(reading.body))
        except OSError as error:
            raise AnswerLostError(f"the connection broke: {error}") from error
        finally:
            if is_kept and len(self._idle) < _MOST_IDLE:
                kept.since = asyncio.get_running_loop().time()
                self._idle.append(kept)
            else:
                kept.writer.transport.abort()


def wrong_url(url: str) -> str | None:
    """Why a URL is none to which events can be posted; it is not quoted, as it may hold a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "its url is malformed; write https://crm.example/hooks/events"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "its url is none of HTTP; write https://crm.example/hooks/events"
    if "@" in parts.netloc:
        return "its url has a user in it; give the token by the settings"
    if not url.isascii() or not url.isprintable() or " " in url or parts.fragment:
        return "its url has what no request can carry: percent-encode it, and leave out what follows #"
    return None
