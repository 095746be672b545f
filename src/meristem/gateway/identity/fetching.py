"""Small documents from an issuer, in a thread: few and seldom, by what Python has, through the machine's own proxy."""

from __future__ import annotations

import asyncio
import ssl
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT: Final = 5.0  # seconds for a connection, and for each part of an answer
WHOLE: Final = 10.0  # seconds for all of it
SLOW: Final = f"it did not answer within {WHOLE:g} s"
PART: Final = 64 * 1024  # bytes
LONGEST: Final = 512 * 1024  # bytes
THREADS: Final = ThreadPoolExecutor(2, "meristem-issuers")


class FetchError(Exception):
    """Nothing of use came: the text says why, without what was sent."""


class Fetch(Protocol):
    """Asks for a document: with `form` it is posted."""

    async def __call__(
        self, url: str, form: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None
    ) -> bytes: ...


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Who redirects names somebody else, whom nobody has said to trust."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class HttpsFetch:
    """Asks over HTTPS, verified; `ca` is a file of who signs certificates, where the machine does not know them."""

    def __init__(self, ca: str = "") -> None:
        context = ssl.create_default_context(cafile=ca or None)
        self._opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=context))

    async def __call__(
        self, url: str, form: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None
    ) -> bytes:
        """The document; raises FetchError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WHOLE + TIMEOUT):  # more than the thread takes: names are looked up without end
                return await loop.run_in_executor(THREADS, self._ask, url, form, dict(fields or {}))
        except TimeoutError:
            raise FetchError(SLOW) from None

    def _ask(self, url: str, form: Mapping[str, str] | None, fields: dict[str, str]) -> bytes:
        body = None if form is None else urlencode(form).encode()
        headers = {"accept": "application/json", "user-agent": "Meristem", **fields}
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - of the schemes `wrong_issuer_url` allows
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                found = _read(answer, time.monotonic() + WHOLE)
        except urllib.error.HTTPError as error:
            with error:
                raise FetchError(f"it answers {error.code}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise FetchError(str(getattr(error, "reason", error))) from None
        return found


def _read(answer: Any, until: float) -> bytes:
    """The body: who sends a byte now and then must not keep a thread."""
    found = bytearray()
    while part := answer.read1(PART):
        found += part
        if len(found) > LONGEST:
            raise FetchError(f"it answers more than {LONGEST} bytes")
        if time.monotonic() > until:
            raise FetchError(SLOW)
    return bytes(found)
