"""The pages of the REST interface about itself: its OpenAPI document and the API page that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.transports.http.rest.errors import status_of_class

if TYPE_CHECKING:
    from meristem.contracts.about import About
    from meristem.contracts.operation import Operation

ASSETS: Final = {
    "/docs": ("page.html", b"text/html; charset=utf-8"),
    "/docs/page.js": ("page.js", b"text/javascript; charset=utf-8"),
    "/docs/page.css": ("page.css", b"text/css; charset=utf-8"),
}
PATHS: Final = ("/openapi.json", *ASSETS)


class Pages:
    """Pages by path; each is made when it is first asked for."""

    def __init__(self, operations: list[Operation], *, name: str, prefix: str, about: About) -> None:
        self._operations = operations
        self._name = name
        self._prefix = prefix
        self._about = about
        self._made: dict[str, tuple[bytes, bytes]] = {}

    def find(self, path: str) -> tuple[bytes, bytes] | None:
        """Media type and body of the page at a path."""
        if path not in self._made and (made := self._make(path)) is not None:
            self._made[path] = made
        return self._made.get(path)

    def _make(self, path: str) -> tuple[bytes, bytes] | None:
        if path == "/openapi.json":
            from meristem.contracts.openapi import document  # noqa: PLC0415 - most processes are never asked

            return b"application/json", document(
                self._operations, name=self._name, prefix=self._prefix, about=self._about, status_of=status_of_class
            )
        if path not in ASSETS:
            return None
        from importlib import resources  # noqa: PLC0415 - as above

        name, media = ASSETS[path]
        text = resources.files("meristem.transports.http.rest").joinpath("page", name).read_text("utf-8")
        return media, text.replace("@prefix@", self._prefix).encode()
