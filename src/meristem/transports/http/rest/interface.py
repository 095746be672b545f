"""REST from the contracts: every operation with `http=` at its path, errors as problem details."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.contracts.about import About
from meristem.resilience.limits import Limits
from meristem.transports.http.responses import NOSNIFF, Response
from meristem.transports.http.rest import docs
from meristem.transports.http.rest.codec import PLAIN, RestCodec, RestRequest, problem_response
from meristem.transports.http.rest.errors import Problem
from meristem.transports.http.rest.router import Router
from meristem.transports.http.rest.uploads import UploadCodec, UploadReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.call import ServedOperation
    from meristem.transports.http.request import PieceSource, Request
    from meristem.transports.unary import Codec


class Match:
    """The operation that a request asks for, and what the placeholders of its path stand for."""

    __slots__ = ("_codec", "_path", "_placeholders", "asks_client", "takes_body", "takes_stream")

    def __init__(self, codec: RestCodec, path: str, placeholders: list[str]) -> None:
        self.takes_body: bool = codec.takes_body
        self.takes_stream: bool = codec.operation.takes_stream
        self.asks_client: bool = codec.asks_client
        self._codec = codec
        self._path = path
        self._placeholders = placeholders

    def reader(self) -> UploadReader:
        """What cuts the body of a request into the pieces that have arrived."""
        return UploadReader(self._codec.limits.upload_bytes)

    def streamed(
        self,
        request: Request,
        source: PieceSource[bytes],
        *,
        inside: bool,  # noqa: ARG002 - what REST serves is public
    ) -> tuple[Codec[Any, Any], RestRequest]:
        """As `received`, for an upload whose pieces come from `source`."""
        codec, found = self.received(request, b"")
        return UploadCodec(codec, source), found

    def received(self, request: Request, body: bytes) -> tuple[RestCodec, RestRequest]:
        """The codec, and what it reads."""
        found = RestRequest.of(
            request.head, self._path, self._placeholders, request.query, body, request.client, request.user
        )
        return self._codec, found


class RestInterface:
    """Serves `endpoints` below `prefix`, and where it is `described` `/openapi.json` and the API page `/docs`, too.

    Without an endpoint nothing is its own.

    A path below the prefix that it does not know is somebody else's, and so are the paths elsewhere; a path that it
    knows is its own with every method.
    """

    def __init__(
        self,
        endpoints: Iterable[ServedOperation],
        *,
        prefix: str = "/api",
        name: str = "API",
        about: About | None = None,
        limits: Limits | None = None,
        described: bool = True,
    ) -> None:
        self._prefix = prefix.rstrip("/")
        self._below = (self._prefix + "/").encode()
        self._docs = f"{self._prefix}/docs"
        self._router: Router[RestCodec] = Router()
        known = limits or Limits()
        operations = []
        for endpoint in endpoints:
            if (http := endpoint.operation.http) is not None:
                self._router.add(http.verb, http.path, RestCodec(endpoint, http, self._docs, known))
                operations.append(endpoint.operation)
        said = about or About()
        self._pages = (
            docs.Pages(operations, name=name, prefix=self._prefix, about=said) if described and operations else None
        )

    def find(self, request: Request) -> Match | Response | None:
        """The operation that a request asks for, the response where that is none, None for a path not known here."""
        if not request.path.startswith(self._below):
            return None
        path = request.path.decode("latin-1")
        below = path[len(self._prefix) :]
        try:
            verbs, placeholders = self._router.find(below)
        except UnicodeDecodeError:
            return problem_response(Problem(400, "the escapes of the path are not UTF-8"), path)
        if not verbs:
            page = None if self._pages is None else self._pages.find(below)
            return None if page is None else _page(request.method, path, *page)
        method = request.method
        # RFC 9110, section 9.3.2: HEAD is answered as GET is; the connection leaves the body out.
        codec = verbs.get("GET" if method == "HEAD" else method)
        if codec is not None:
            return Match(codec, path, placeholders)
        allowed = {*verbs, "OPTIONS"} | ({"HEAD"} if "GET" in verbs else set())
        allow = (b"allow", ", ".join(sorted(allowed)).encode())
        if method == "OPTIONS":
            return Response(204, b"", b"", [NOSNIFF, allow])
        return problem_response(Problem(405, f"{method} is not served at {path}", headers=[allow]), path)


def _page(method: str, path: str, media: bytes, body: bytes) -> Response:
    if method not in ("GET", "HEAD"):
        return problem_response(Problem(405, "read this with GET", headers=[(b"allow", b"GET, HEAD")]), path)
    return Response(200, media, body, [*PLAIN, (b"cache-control", b"no-cache")])
