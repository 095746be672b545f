"""Which answers are compressed on their way out, and how (RFC 9110, 8.4.1.3 and 12.5.3)."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from meristem.contracts.bounds import Room
from meristem.transports.http.compression import MIN_COMPRESSED

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.transports.http.request import Request

COMPRESSIBLE: Final = re.compile(
    rb"text/(?!event-stream\b).*|application/(?:[\w.+-]+\+(?:json|xml)|json|javascript|xml|wasm|x-ndjson|ld\+json)\b.*"
    rb"|image/svg\+xml\b.*|font/(?:ttf|otf)\b.*",
    re.IGNORECASE,
)
WEIGHT: Final = re.compile(rb"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
NOT_MODIFIED: Final = 304
BODILESS: Final = (204, 205, 206, NOT_MODIFIED)
GZIP: Final = 31  # the largest window, with gzip's header and trailer (zlib module)
VARIES: Final = (b"vary", b"accept-encoding")


class CompressionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers of text, JSON and the like are sent as gzip to who accepts that, from `min_bytes` on."""

    min_bytes: Room = MIN_COMPRESSED
    level: Annotated[int, Meta(ge=1, le=9, description="1 to 9, from the quickest to the smallest")] = 5


class GzipCoder:
    """The body of one answer, compressed as it comes."""

    __slots__ = ("_inner",)

    def __init__(self, level: int) -> None:
        self._inner = zlib.compressobj(level, zlib.DEFLATED, GZIP)

    def feed(self, part: bytes, *, more: bool) -> bytes:
        """What goes out of it: all of the part, for who reads a stream waits for it."""
        return self._inner.compress(part) + self._inner.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)


class Compression:
    """Decides about answers one by one."""

    def __init__(self, table: CompressionTable) -> None:
        self._least = table.min_bytes
        self._level = table.level

    def coder(
        self, request: Request, status: int, fields: list[Field], media: bytes, length: int | None
    ) -> GzipCoder | None:
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
        if b"content-range" in told or b"no-transform" in told.get(b"cache-control", b"").lower():
            return None
        if told.get(b"content-encoding", b"identity").lower() != b"identity":
            return None
        fields.append(VARIES)  # whether it is compressed or not
        if not accepts_gzip(request.head.get(b"accept-encoding", b"")):
            return None
        kept = [each for each in fields if each[0].lower() not in (b"content-length", b"content-encoding", b"etag",
                                                                  b"accept-ranges")]  # fmt: skip
        if (etag := told.get(b"etag")) is not None:
            # It is not the same byte by byte any more (RFC 9110, 8.8.1).
            kept.append((b"etag", etag if etag.startswith(b"W/") else b"W/" + etag))
        fields[:] = [*kept, (b"content-encoding", b"gzip")]
        return GzipCoder(self._level)


@lru_cache(256)
def accepts_gzip(accepted: bytes) -> bool:
    """Whether a client takes gzip, and likes nothing else better."""
    weights: dict[bytes, float] = {}
    for each in accepted.lower().split(b","):
        coding, _, rest = each.partition(b";")
        weight = WEIGHT.fullmatch(rest.strip())
        weights[coding.strip()] = 1.0 if not rest.strip() else float(weight[1]) if weight else 0.0
    gzip = weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0)))
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)
