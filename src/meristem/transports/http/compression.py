"""The content coding gzip (RFC 9110, 8.4.1.3): bodies of requests unpacked within a bound, replies packed."""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING, Final

from meristem.errors import CallError, Code
from meristem.transports.http.errors import too_large

if TYPE_CHECKING:
    from meristem.transports.metadata import Metadata

CODINGS: Final = (b"gzip", b"identity")
NEVER: Final = re.compile(rb"q=0(?:\.0{0,3})?")
MIN_COMPRESSED: Final = 1400  # below one network packet nothing is gained
UNSUSPECTED: Final = 1024 * 1024
MOST_EXPANSION: Final = 100  # gzip reaches 1032, what people send hardly 30


def unpacked(encoding: bytes, body: bytes, limit: int) -> bytes:
    """The body as it was before its content coding; at most `limit` bytes, so that a small bomb stays small.

    Raises CallError for more, for more than a hundred times what was sent where that is above a MiB, for a coding that
    is not known, and for what is not what it says.
    """
    if encoding == b"identity":
        return body
    if encoding != b"gzip":
        found = encoding.decode("latin-1")
        raise _refused(Code.UNIMPLEMENTED, f"content-encoding {found!r} is not supported; use gzip or identity")
    # 16 more than the largest window, 15: with gzip's header and trailer, and nothing else (zlib module).
    inflater = zlib.decompressobj(wbits=31)
    most = min(limit, max(UNSUSPECTED, MOST_EXPANSION * len(body)))
    try:
        plain = inflater.decompress(body, most)
    except zlib.error:
        raise _refused(Code.INVALID_ARGUMENT, "the body is not the gzip that content-encoding promises") from None
    if inflater.unconsumed_tail and most == limit:  # what is left would unpack to more: it never is
        raise too_large(limit)
    if inflater.unconsumed_tail:
        message = f"the gzip body unpacks to more than {MOST_EXPANSION} times its {len(body)} bytes; send it as it is"
        raise _refused(Code.RESOURCE_EXHAUSTED, message)
    if not inflater.eof:
        raise _refused(Code.INVALID_ARGUMENT, "the gzip body ends too early")
    # RFC 1952, section 2.2 lets members follow each other; a million empty ones would cost what the bound saves.
    if inflater.unused_data:
        raise _refused(Code.INVALID_ARGUMENT, "the body holds more than one gzip member; pack it as one")
    return plain


def packed(metadata: Metadata, body: bytes) -> bytes | None:
    """The body as gzip where the client of a request accepts that and it pays; None to send it as it is."""
    if len(body) < MIN_COMPRESSED or not _accepts_gzip(metadata.get(b"accept-encoding", b"")):
        return None
    return gzip.compress(body, compresslevel=4, mtime=0)


def _accepts_gzip(accepted: bytes) -> bool:
    """Whether gzip is among what a client accepts, with a weight above 0 (RFC 9110, 12.4.2 and 12.5.3)."""
    for each in accepted.lower().split(b","):
        coding, _, weight = each.partition(b";")
        if coding.strip() == b"gzip":
            return NEVER.fullmatch(weight.strip()) is None
    return False


def _refused(code: Code, message: str) -> CallError:
    return CallError(code, message, may_have_happened=False)
