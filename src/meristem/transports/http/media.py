"""Media types as RFC 9110, 8.3.1 compares them: without regard to case, apart from their parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meristem.transports.metadata import Metadata

CHARSET: Final = re.compile(rb';[ \t]*charset="?([^";, \t]*)"?', re.IGNORECASE)
UTF8: Final = (b"utf-8", b"utf8", b"us-ascii")


def media_of(head: Metadata) -> bytes:
    """The media type of a request's body in lower case, without parameters; empty where none is given.

    A text in another character set than UTF-8 is no type that is known here: it comes back with its parameters.
    """
    given = head.get(b"content-type", b"")
    if b";" in given:
        found = CHARSET.search(given)
        if found is not None and found[1].lower() not in UTF8:
            return given.lower()
        given = given.partition(b";")[0].rstrip()
    return given.lower()
