"""Entity tags: made of a body, and compared with those that a client has (RFC 9110, 8.8.3 and 13.1.2)."""

from __future__ import annotations

import base64
import re
from hashlib import blake2b
from typing import Final

ETAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag_of(body: bytes) -> bytes:
    """The entity tag of a body: the same for the same bytes, in whichever process they were made."""
    return b'"%b"' % base64.urlsafe_b64encode(blake2b(body, digest_size=15).digest())


def is_among(etag: bytes, known: bytes) -> bool:
    """Whether a list of tags names this one, by weak comparison, as `If-None-Match` wants it (RFC 9110, 13.1.2)."""
    return known.strip() == b"*" or etag in (found[1] for found in ETAG.finditer(known))
