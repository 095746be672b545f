"""Whether a page of this very address sends a request, as its browser tells it: what other sites send must not act."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.asgi import Field


def is_of_own_page(fields: Iterable[Field]) -> bool | None:
    """True for a page of this address, False for another's; None where nothing is told, as by programs.

    Browsers tell it by `Sec-Fetch-Site` (Fetch Metadata, section 2.3) and `Origin` (RFC 6454, section 7), which no
    script can change. Another port of this machine is another origin, though it gets the same cookies.
    """
    told = {name: value.decode("latin-1").strip().lower() for name, value in fields}
    site, origin = told.get(b"sec-fetch-site"), told.get(b"origin")
    if site is not None and site != "same-origin":
        return False
    # A form's is `null` where its page has the referrer policy of ours, and then its site has been told.
    if origin is not None and not (origin == "null" and site is not None):
        return urlsplit(origin).netloc == told.get(b"host") != ""
    return None if site is None else True
