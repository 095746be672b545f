"""REST from the contracts: every operation with `http=` at its path, errors as problem details."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meristem.errors import Code
from meristem.resilience.limits import Limits
from meristem.transports.authorize import Authorizer
from meristem.transports.errors import shield
from meristem.transports.http.asgi_io import ClientGoneError, Exchange
from meristem.transports.http.errors import RefusedError
from meristem.transports.http.responses import Response
from meristem.transports.http.rest import docs
from meristem.transports.http.rest.codec import NOSNIFF, PLAIN, RestCodec, RestRequest, problem_response
from meristem.transports.http.rest.errors import Problem
from meristem.transports.http.rest.router import Router
from meristem.transports.unary import answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.asgi import ASGIApp, Receive, Scope, Send
    from meristem.contracts.call import ServedOperation
    from meristem.transports.authorize import Authenticate

CLOSING = (b"connection", b"close")


class Match(NamedTuple):
    """The operation that a request asks for, and what the placeholders of its path stand for."""

    codec: RestCodec
    placeholders: list[str]


class RestApp:
    """An ASGI app that serves `endpoints` below `prefix`, and where it is `described` `/openapi.json` and `/docs`.

    What it does not know, below the prefix or elsewhere, is for the app `otherwise`, or else not found. A path that
    it knows is its own with every verb. `authenticate` turns a bearer token into an identity, or None for one that is
    not valid.
    """

    def __init__(
        self,
        endpoints: Iterable[ServedOperation],
        *,
        prefix: str = "/api",
        title: str = "API",
        version: str = "1.0.0",
        authenticate: Authenticate | None = None,
        limits: Limits | None = None,
        described: bool = True,
        otherwise: ASGIApp | None = None,
    ) -> None:
        self._prefix = prefix.rstrip("/")
        self._docs = f"{self._prefix}/docs"
        self._authorizer = Authorizer(None, authenticate, trusted=False)
        self._limits = limits or Limits()
        self._router: Router[RestCodec] = Router()
        operations = []
        for endpoint in endpoints:
            if (http := endpoint.operation.http) is not None:
                self._router.add(http.verb, http.path, RestCodec(endpoint, http, self._docs, self._limits.body_values))
                operations.append(endpoint.operation)
        self._pages = docs.Pages(operations, prefix=self._prefix, title=title, version=version) if described else None
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] != "http":
            await self._not_known(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw.decode("latin-1")
        found = self._find(exchange.method, path)
        if found is None:
            await self._not_known(scope, receive, send)
            return
        if isinstance(found, Response):
            await exchange.respond(found)
            return
        try:
            await self._answer(exchange, path, found)
        except ClientGoneError:
            return

    async def _not_known(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._otherwise is not None:
            await self._otherwise(scope, receive, send)
        elif scope["type"] == "http":
            path: str = scope["path"]
            hint = f"; see {self._docs}" if self._pages is not None and path.startswith(self._prefix + "/") else ""
            problem = Problem(404, f"nothing is served at {path}{hint}")
            await Exchange(scope, receive, send).respond(problem_response(problem, path))
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _find(self, method: str, path: str) -> Match | Response | None:
        """What is asked for, the response where that is no operation, or None for a path that is not known here."""
        below = path.removeprefix(self._prefix)
        if not path.startswith(self._prefix + "/"):
            return None
        if self._pages is not None and (page := self._pages.find(below)) is not None:
            return _page(method, path, *page)
        verbs, placeholders = self._router.find(below)
        if not verbs:
            return None
        allowed = {*verbs, "OPTIONS"} | ({"HEAD"} if "GET" in verbs else set())
        allow = (b"allow", ", ".join(sorted(allowed)).encode())
        if method not in allowed:
            return problem_response(Problem(405, f"{method} is not served at {path}", headers=[allow]), path)
        codec = verbs.get("GET" if method == "HEAD" else method)
        return Response(204, b"", b"", [NOSNIFF, allow]) if codec is None else Match(codec, placeholders)

    async def _answer(self, exchange: Exchange, path: str, found: Match) -> None:
        codec, placeholders = found
        limit = self._limits.body_bytes
        body = await exchange.body(limit) if codec.takes_body else b""
        query: bytes = exchange.scope["query_string"]
        request = RestRequest.of(exchange.head, path, placeholders, query, body or b"")
        if body is None:  # nobody reads the rest, so no further request can be told from it
            error = RefusedError(Code.RESOURCE_EXHAUSTED, 413, f"a request may have {limit} bytes")
            await exchange.respond(codec.failure(request, error), CLOSING)
            return
        response = await exchange.attended(self._answered(exchange, codec, request))
        if response is not None:
            await exchange.respond(response)

    async def _answered(self, exchange: Exchange, codec: RestCodec, request: RestRequest) -> Response | None:
        """The response to a call; None when it was a stream, which has been sent."""
        response = await answer(codec, request, self._authorizer)
        if isinstance(response, Response):
            return response
        try:
            await response.send(exchange)
        except Exception as error:  # a boundary: nothing was sent yet
            return codec.failure(request, shield(codec.operation, error))
        return None


def _page(method: str, path: str, media: bytes, body: bytes) -> Response:
    if method not in ("GET", "HEAD"):
        return problem_response(Problem(405, "read this with GET", headers=[(b"allow", b"GET, HEAD")]), path)
    return Response(200, media, body, [*PLAIN, (b"cache-control", b"no-cache")])
