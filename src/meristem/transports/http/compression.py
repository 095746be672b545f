"""The content coding gzip (RFC 9110, 8.4.1.3): bodies of requests unpacked within a bound, replies packed."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING, Final

from meristem.errors import CallError, Code
from meristem.transports.http.content_codings import GZIP, chosen_coding
from meristem.transports.http.errors import RefusedError, too_large
from meristem.transports.unary import READER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.asgi import Field
    from meristem.transports.http.request import ReplyWriter
    from meristem.transports.metadata import Metadata

ENCODING: Final = b"content-encoding"
CODINGS: Final = (GZIP, b"identity")
# RFC 9110, section 12.5.5: a cache must not give packed bytes to who did not ask for them.
PACKED: Final = ((b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))
MIN_COMPRESSED: Final = 1400  # below one network packet nothing is gained
UNSUSPECTED: Final = 1024 * 1024
MOST_EXPANSION: Final = 100  # gzip reaches 1032, what people send hardly 30


def plain_body(head: Metadata, body: bytes, limit: int) -> bytes:
    """The body of a request without its coding; raises CallError for a coding that is not known, as `unpacked` else."""
    if (coding := head.get(ENCODING)) is None:
        return body
    if coding.lower() not in CODINGS:
        message = f"content-encoding {coding.decode('latin-1')!r} is not known; send gzip or identity"
        raise RefusedError(Code.INVALID_ARGUMENT, 415, message, [(b"accept-encoding", b", ".join(CODINGS))])
    return unpacked(coding.lower(), body, limit)


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
        raise _refused(Code.INVALID_ARGUMENT, message)
    if not inflater.eof:
        raise _refused(Code.INVALID_ARGUMENT, "the gzip body ends too early")
    # RFC 1952, section 2.2 lets members follow each other; a million empty ones would cost what the bound saves.
    if inflater.unused_data:
        raise _refused(Code.INVALID_ARGUMENT, "the body holds more than one gzip member; pack it as one")
    return plain


def is_packed(metadata: Metadata, body: bytes) -> bool:
    """Whether a body is to be sent as gzip: the client of the request likes that best, and it pays."""
    if len(body) < MIN_COMPRESSED:
        return False
    return chosen_coding(metadata.get(b"accept-encoding", b""), (GZIP,)) is not None


def packed(body: bytes) -> bytes:
    """The body as gzip; a megabyte takes about 25 ms."""
    return gzip.compress(body, compresslevel=4, mtime=0)


class PackedReply:
    """A large reply, which is packed in a thread: others must not wait for that."""

    def __init__(self, media: bytes, body: bytes, fields: Sequence[Field] = ()) -> None:
        self._media = media
        self._body = body
        self._fields = fields

    async def send(self, writer: ReplyWriter) -> None:
        """Send it whole."""
        body = await asyncio.get_running_loop().run_in_executor(READER, packed, self._body)
        writer.begin(200, [(b"content-type", self._media), *PACKED, *self._fields])
        await writer.write(body, more=False)


def _refused(code: Code, message: str) -> CallError:
    return CallError(code, message, may_have_happened=False)
