"""The dashboard as an ASGI app: a document for each of its pages, and the files that these are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meristem.asgi import respond, start
from meristem.dashboard.static_files import MEDIA, StaticFile, StaticFiles
from meristem.transports.http.compression import PACKED, is_packed
from meristem.transports.http.entity_tags import is_among

if TYPE_CHECKING:
    from meristem.asgi import ASGIApp, Field

FILES: Final = "/dashboard/"
# Nothing from elsewhere, nothing written into a page: what a log line or a span says can't become a script.
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
GUARDS: Final = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# Asked for anew each time, answered by 304: what a newer release brings is never mixed with what a browser kept.
CACHED: Final = (b"cache-control", b"no-cache")
# RFC 8246: what stands in an address with a version is never asked for again.
LASTING: Final = (b"cache-control", b"public, max-age=31536000, immutable")


class DashboardPages:
    """An ASGI app: the dashboard at `/`, `/map`, `/traces`, …, its files below `/dashboard/`; all else is of `behind`.

    Each page is a document that reads its path, so every link to a place in it can be shared. The documents name files
    by addresses with a version, which a browser keeps; one of another version is 404, and a page of that version loads
    itself anew. Where nothing is `behind`, other paths are 404.
    """

    def __init__(self, behind: ASGIApp | None = None) -> None:
        self._behind = behind
        self._files = StaticFiles()

    def find(self, path: str) -> StaticFile | None:
        """The file at a path of the dashboard, None where it has none."""
        if path.startswith(FILES):
            return self._files.file(path.removeprefix(FILES).removeprefix(f"{self._files.version}/"))
        return self._files.document(path) if path == "/" or path[1:].partition("/")[0] in self._files.pages else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = self.find(scope["path"]) if scope["type"] == "http" else None
        if found is not None:
            lasts = scope["path"].startswith(f"{FILES}{self._files.version}/")
            await _answer(found, scope, send, LASTING if lasts else CACHED)
        elif self._behind is not None:
            await self._behind(scope, receive, send)
        elif scope["type"] == "http":
            text = b"the dashboard has no such page; it begins at /\n"
            await respond(send, 404, MEDIA[".txt"], text, GUARDS, method=scope["method"])
        else:
            await send({"type": "websocket.close", "code": 1000})


async def _answer(file: StaticFile, scope: Any, send: Any, kept: Field) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        await respond(send, 405, fields=[(b"allow", b"GET, HEAD"), *GUARDS])
        return
    asked = dict(scope["headers"])
    # Weak, for the packed form has the same one.
    fields = [(b"etag", b"W/" + file.tag), kept, *GUARDS]
    if is_among(file.tag, asked.get(b"if-none-match", b"")):
        # No length: that of a 304 would be the document's (RFC 9110, section 8.6).
        await start(send, 304, b"", fields)
        await send({"type": "http.response.body", "body": b""})
    elif is_packed(asked, file.body):
        await respond(send, 200, file.media, file.packed, [*PACKED, *fields], method=scope["method"])
    else:
        await respond(send, 200, file.media, file.body, fields, method=scope["method"])
