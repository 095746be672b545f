"""Which answers are compressed on their way out, and how (RFC 9110, 8.4.1 and 12.5.3)."""

from __future__ import annotations

import re
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from meristem.contracts.bounds import Room
from meristem.errors import ConfigurationError
from meristem.transports.http.compression import MIN_COMPRESSED
from meristem.transports.http.content_codings import chosen_coding

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.asgi import Field
    from meristem.transports.http.request import BodyCoder, Request

COMPRESSIBLE: Final = re.compile(
    rb"text/(?!event-stream\b).*|application/(?:[\w.+-]+\+(?:json|xml)|json|javascript|xml|wasm|x-ndjson|ld\+json)\b.*"
    rb"|image/svg\+xml\b.*|font/(?:ttf|otf)\b.*",
    re.IGNORECASE,
)
NOT_MODIFIED: Final = 304
BODILESS: Final = (204, 205, 206, NOT_MODIFIED)
GZIP_WINDOW: Final = 31  # the largest window, with gzip's header and trailer (zlib module)
ADAPTERS: Final = {"br": ("brotli_coder", "BrotliCoder"), "zstd": ("zstd_coder", "ZstdCoder")}
VARIES: Final = (b"vary", b"accept-encoding")
UNCHANGED: Final = frozenset((b"content-range", b"content-digest", b"repr-digest", b"content-md5", b"digest"))
"""Fields that tell of the very bytes of a body: which they are, or their sum (RFC 9530)."""


class CompressionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers of text, JSON and the like are compressed for who accepts that, from `min_bytes` on.

    Of the `codings` each client gets the one that it likes best, of several that it likes alike the first.
    """

    min_bytes: Room = MIN_COMPRESSED
    codings: tuple[Literal["zstd", "br", "gzip"], ...] = ("gzip",)
    level: Annotated[int, Meta(ge=1, le=9, description="1 to 9, from the quickest to the smallest")] = 5

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound table."""
        if not self.codings:
            return "codings: an empty list compresses nothing; leave [gateway.compression] out"
        twice = [each for each in self.codings if self.codings.count(each) > 1]
        return f"codings: {twice[0]} stands there twice" if twice else None


class GzipCoder:
    """The body of one answer, compressed as it comes."""

    __slots__ = ("_inner",)

    def __init__(self, level: int) -> None:
        self._inner = zlib.compressobj(level, zlib.DEFLATED, GZIP_WINDOW)

    def feed(self, part: bytes, *, more: bool) -> bytes:
        """What goes out of it: all of the part, for who reads a stream waits for it."""
        return self._inner.compress(part) + self._inner.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)


def coder_of(coding: str) -> Callable[[int], BodyCoder]:
    """What makes a coder of a level; raises ConfigurationError where its library is missing."""
    if coding == "gzip":
        return GzipCoder
    module, name = ADAPTERS[coding]
    found: Callable[[int], BodyCoder] = getattr(import_module(f"meristem.gateway.{module}"), name)
    return found


class Compression:
    """Decides about answers one by one; raises ConfigurationError where the library of a coding is missing."""

    def __init__(self, table: CompressionTable) -> None:
        self._least = table.min_bytes
        self._level = table.level
        try:
            self._coders = {each.encode(): coder_of(each) for each in table.codings}
        except ConfigurationError as error:
            raise ConfigurationError(f"[gateway.compression]: {error}") from error
        self._offered = tuple(self._coders)

    def coder(
        self, request: Request, status: int, fields: list[Field], media: bytes, length: int | None
    ) -> BodyCoder | None:
        """What compresses an answer, if anything does; its `fields` are changed with it."""
        if status == NOT_MODIFIED:
            fields.append(VARIES)  # as what it stands for may have said (RFC 9110, 15.4.5)
        if status in BODILESS or (length is not None and length < self._least):
            return None
        told = {name.lower(): value for name, value in fields}
        media = told.get(b"content-type", media)
        length = int(found) if (found := told.get(b"content-length", b"")).isdigit() else length
        if not COMPRESSIBLE.fullmatch(media) or (length is not None and length < self._least):
            return None
        if not UNCHANGED.isdisjoint(told) or b"no-transform" in told.get(b"cache-control", b"").lower():
            return None
        if told.get(b"content-encoding", b"identity").lower() != b"identity":
            return None
        fields.append(VARIES)  # whether it is compressed or not
        coding = chosen_coding(request.head.get(b"accept-encoding", b""), self._offered)
        if coding is None:
            return None
        kept = [each for each in fields if each[0].lower() not in (b"content-length", b"content-encoding", b"etag",
                                                                  b"accept-ranges")]  # fmt: skip
        if (etag := told.get(b"etag")) is not None:
            # It is not the same byte by byte any more (RFC 9110, 8.8.1).
            kept.append((b"etag", etag if etag.startswith(b"W/") else b"W/" + etag))
        fields[:] = [*kept, (b"content-encoding", coding)]
        return self._coders[coding](self._level)
