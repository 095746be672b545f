"""The files of the dashboard: what each is sent as, what they import, and a name for all of them as they are now."""

from __future__ import annotations

import hashlib
import posixpath
import re
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.transports.http.compression import packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

MEDIA: Final = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    "": b"text/plain; charset=utf-8",  # LICENSE
}
DOCUMENT: Final = "index.html"
MAIN: Final = "main.js"
ROUTES: Final = "routes.js"
PLACE: Final = "/dashboard/"  # where the document's own links lead
MODULES: Final = "  <!-- modules -->\n"
IMPORTED: Final = re.compile(r'^(?:import|export)\b[^;]*?from "(\.[^"]+)";', re.MULTILINE)
ROUTE: Final = re.compile(r'path: "(/[^"]+)".*?import\("\./([^"]+)"\)')


class StaticFile(NamedTuple):
    """A file as it is sent; `packed` is the same by gzip, `tag` its entity tag (RFC 9110, section 8.8.3)."""

    media: bytes
    body: bytes
    packed: bytes
    tag: bytes


class StaticFiles:
    """The files by their names in the folder `static`, and a document for each page."""

    def __init__(self) -> None:
        self._sent: dict[str, StaticFile] = {}
        self._documents: dict[str | None, StaticFile] = {}

    @cached_property
    def version(self) -> str:
        """A name that is another one as soon as any file is: what is kept by it is never of another release."""
        digest = hashlib.sha256()
        for name in sorted(self._found):
            digest.update(f"{name}\n".encode() + hashlib.sha256(self._found[name].read_bytes()).digest())
        return digest.hexdigest()[:16]

    def file(self, name: str) -> StaticFile | None:
        """A file by its name, None where there is none of that name."""
        # A name is looked up among those there are, so none leads out of the folder.
        if name not in self._sent and (found := self._found.get(name)) is not None:
            self._sent[name] = _sent(name, found.read_bytes())
        return self._sent.get(name)

    def document(self, path: str) -> StaticFile:
        """The document at the path of a page, which names at once all that the page is made of.

        Else a browser would learn of a module's modules only when it has that, one round after the other.
        """
        page = next((module for pattern, module in self._routes if pattern.fullmatch(path)), None)
        if page not in self._documents:
            self._documents[page] = self._document(page)
        return self._documents[page]

    def _document(self, page: str | None) -> StaticFile:
        modules = self._modules([MAIN, *([page] if page else [])])
        links = "".join(f'  <link rel="modulepreload" href="{PLACE}{each}">\n' for each in modules if each != MAIN)
        text = self._found[DOCUMENT].read_text(encoding="utf-8").replace(MODULES, links)
        return _sent(DOCUMENT, text.replace(PLACE, f"{PLACE}{self.version}/").encode())

    def _modules(self, names: list[str]) -> list[str]:
        """Modules and all that these import, in the order in which they are found."""
        known = list(names)
        for name in known:  # it grows meanwhile
            text = self._found[name].read_text(encoding="utf-8")
            imported = (
                posixpath.normpath(posixpath.join(posixpath.dirname(name), each)) for each in IMPORTED.findall(text)
            )
            known += [each for each in dict.fromkeys(imported) if each not in known]
        return known

    @cached_property
    def pages(self) -> frozenset[str]:
        """The first part of each page's path: there is a file for it in `static/pages`."""
        found = (re.fullmatch(r"pages/(\w+)\.js", name) for name in self._found)
        return frozenset(each[1] for each in found if each)

    @cached_property
    def _routes(self) -> list[tuple[re.Pattern[str], str]]:
        text = self._found[ROUTES].read_text(encoding="utf-8")
        return [(re.compile(re.sub(r":\w+", "[^/]+", path) + "/?"), module) for path, module in ROUTE.findall(text)]

    @cached_property
    def _found(self) -> dict[str, Traversable]:
        return dict(_walk(resources.files("meristem.dashboard").joinpath("static")))


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _walk(each, f"{prefix}{each.name}/")
        else:
            yield prefix + each.name, each


def _sent(name: str, body: bytes) -> StaticFile:
    media = MEDIA.get("." + name.rpartition(".")[2] if "." in name.rpartition("/")[2] else "", MEDIA[""])
    return StaticFile(media, body, packed(body), f'"{hashlib.sha256(body).hexdigest()[:20]}"'.encode())
