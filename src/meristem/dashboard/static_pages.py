"""The files of the dashboard, as an ASGI app that serves them and nothing else."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meristem.asgi import respond, start
from meristem.transports.http.compression import PACKED, is_packed, packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from meristem.asgi import ASGIApp

FILES: Final = "/dashboard/"
MEDIA: Final = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    "": b"text/plain; charset=utf-8",  # LICENSE
}
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
TAG: Final = re.compile(rb'(?:W/)?("[^"]*")')


class StaticFile(NamedTuple):
    """A file as it is sent; `packed` is the same by gzip, `tag` its entity tag (RFC 9110, section 8.8.3)."""

    media: bytes
    body: bytes
    packed: bytes
    tag: bytes


class DashboardPages:
    """An ASGI app: the dashboard at `/`, `/map`, `/traces`, …, its files below `/dashboard/`; all else is of `behind`.

    Each page is one document that reads its path, so every link to a place in it can be shared. Where nothing is
    `behind`, other paths are 404.
    """

    def __init__(self, behind: ASGIApp | None = None) -> None:
        self._behind = behind
        self._read: dict[str, StaticFile] = {}

    def find(self, path: str) -> StaticFile | None:
        """The file at a path of the dashboard, None where it has none."""
        if path.startswith(FILES):
            name = path.removeprefix(FILES)
        elif path == "/" or path.split("/")[1] in self.pages:
            name = "index.html"
        else:
            return None
        # A name is looked up among those there are, so none leads out of the folder.
        if name not in self._read and (file := self._files.get(name)) is not None:
            self._read[name] = _read(name, file)
        return self._read.get(name)

    @cached_property
    def pages(self) -> frozenset[str]:
        """The first part of each page's path: there is a file for it in `static/pages`."""
        found = (re.fullmatch(r"pages/(\w+)\.js", name) for name in self._files)
        return frozenset(each[1] for each in found if each)

    @cached_property
    def _files(self) -> dict[str, Traversable]:
        return dict(_walk(resources.files("meristem.dashboard").joinpath("static")))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        found = self.find(scope["path"]) if scope["type"] == "http" else None
        if found is not None:
            await _answer(found, scope, send)
        elif self._behind is not None:
            await self._behind(scope, receive, send)
        elif scope["type"] == "http":
            text = b"the dashboard has no such page; it begins at /\n"
            await respond(send, 404, MEDIA[".txt"], text, GUARDS, method=scope["method"])
        else:
            await send({"type": "websocket.close", "code": 1000})


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _walk(each, f"{prefix}{each.name}/")
        else:
            yield prefix + each.name, each


def _read(name: str, file: Traversable) -> StaticFile:
    body = file.read_bytes()
    media = MEDIA.get("." + name.rpartition(".")[2] if "." in name.rpartition("/")[2] else "", MEDIA[""])
    return StaticFile(media, body, packed(body), f'"{hashlib.sha256(body).hexdigest()[:20]}"'.encode())


async def _answer(file: StaticFile, scope: Any, send: Any) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        await respond(send, 405, fields=[(b"allow", b"GET, HEAD"), *GUARDS])
        return
    asked = dict(scope["headers"])
    # Weak, for the packed form has the same one.
    fields = [(b"etag", b"W/" + file.tag), CACHED, *GUARDS]
    if file.tag in TAG.findall(asked.get(b"if-none-match", b"")):
        # No length: that of a 304 would be the document's (RFC 9110, section 8.6).
        await start(send, 304, b"", fields)
        await send({"type": "http.response.body", "body": b""})
    elif is_packed(asked, file.body):
        await respond(send, 200, file.media, file.packed, [*PACKED, *fields], method=scope["method"])
    else:
        await respond(send, 200, file.media, file.body, fields, method=scope["method"])
