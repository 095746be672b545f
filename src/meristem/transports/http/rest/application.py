"""REST from the contracts: every operation with `http=` at its path, errors as problem details."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.call import Call
from meristem.contracts.codec import encode
from meristem.errors import CallError, Code
from meristem.resilience.limits import Limits
from meristem.transports.http.connect.errors import shield
from meristem.transports.http.rest import docs
from meristem.transports.http.rest.binding import Binder
from meristem.transports.http.rest.errors import MEDIA, Problem, problem_of
from meristem.transports.http.rest.router import Router
from meristem.transports.http.rest.streaming import format_of
from meristem.transports.http.server.asgi_io import ClientGoneError, attended, received
from meristem.transports.metadata import context_from, signed_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.context import Context
    from meristem.contracts.call import ServedOperation
    from meristem.contracts.operation import Http, Operation
    from meristem.transports.metadata import Authenticate, Head

JSON: Final = b"application/json"


class Resource:
    """An operation at its place in REST."""

    def __init__(self, endpoint: ServedOperation, http: Http) -> None:
        self.operation: Operation = endpoint.operation
        self.handler = endpoint.handler
        self.http = http
        self.binder = Binder(endpoint.operation, http)

    def __str__(self) -> str:
        return self.operation.label

    def write(self, reply: Any) -> tuple[int, bytes, bytes]:
        """Status, media type and body of a reply."""
        if reply is None:
            return 204 if self.http.status == 200 else self.http.status, b"", b""
        if self.http.media != "application/json":
            raw = reply.encode() if isinstance(reply, str) else bytes(reply)
            return self.http.status, self.http.media.encode(), raw
        return self.http.status, JSON, encode(reply)


class RefusedError(Exception):
    """The request is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class RestApp:
    """An ASGI app that serves `endpoints` below `prefix`, with `/openapi.json` and the API page `/docs`.

    `authenticate` turns a bearer token into an identity, or None for one that is not valid.
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
    ) -> None:
        self._prefix = prefix.rstrip("/")
        self._authenticate = authenticate
        self._limits = limits or Limits()
        self._router: Router[Resource] = Router()
        operations = []
        for endpoint in endpoints:
            if (http := endpoint.operation.http) is not None:
                self._router.add(http.verb, http.path, Resource(endpoint, http))
                operations.append(endpoint.operation)
        self._pages = docs.Pages(operations, prefix=self._prefix, title=title, version=version)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI 3."""
        if scope["type"] != "http":
            raise RuntimeError(f"the REST interface serves HTTP, not {scope['type']}")
        exchange = RestExchange(scope, receive, send, self._limits)
        try:
            await self._answer(exchange)
        except RefusedError as refused:
            await exchange.refuse(refused.problem)
        except ClientGoneError:
            return

    async def _answer(self, exchange: RestExchange) -> None:
        path = exchange.path.removeprefix(self._prefix)
        if not exchange.path.startswith(self._prefix + "/"):
            raise RefusedError(Problem(404, f"nothing is served at {exchange.path}"))
        if (page := self._pages.find(path)) is not None:
            await exchange.page(*page)
            return
        resource, placeholders = self._resource(exchange, path)
        if resource is None:
            await exchange.answer(204, b"", b"", exchange.allow)
            return
        operation = resource.operation
        try:
            context = await self._context(exchange, operation)
            body = await exchange.body() if resource.binder.takes_body else b""
            request = resource.binder.bind(placeholders, exchange.query, body)
            await self._run(exchange, resource, Call(operation, request, context))
        except (RefusedError, ClientGoneError):
            raise
        except Exception as error:  # a boundary: whatever fails is logged by `shield` and answered
            raise RefusedError(problem_of(shield(operation, error), f"{self._prefix}/docs")) from None

    def _resource(self, exchange: RestExchange, path: str) -> tuple[Resource | None, list[str]]:
        """What stands at the path under the verb; None for OPTIONS."""
        verbs, placeholders = self._router.find(path)
        if not verbs:
            raise RefusedError(Problem(404, f"nothing is served at {exchange.path}; see {self._prefix}/docs"))
        allowed = {*verbs, "OPTIONS"} | ({"HEAD"} if "GET" in verbs else set())
        exchange.allow = (b"allow", ", ".join(sorted(allowed)).encode())
        verb = "GET" if exchange.method == "HEAD" else exchange.method
        if exchange.method not in allowed:
            problem = Problem(405, f"{exchange.method} is not served at {exchange.path}", headers=[exchange.allow])
            raise RefusedError(problem)
        return verbs.get(verb), placeholders

    async def _context(self, exchange: RestExchange, operation: Operation) -> Context:
        context = context_from(exchange.head)
        context.user = await signed_in(exchange.head, self._authenticate)
        if operation.authenticated and context.user is None:
            raise CallError(Code.UNAUTHENTICATED, "sign in first and send `Authorization: Bearer …`")
        return context

    async def _run(self, exchange: RestExchange, resource: Resource, call: Call) -> None:
        if resource.operation.stream:
            style = format_of(exchange.head.get(b"accept", b""), resource.operation, f"{self._prefix}/docs")
            await attended(exchange.receive, style.send(exchange, await resource.handler(call)))
            return
        reply = await attended(exchange.receive, resource.handler(call))
        status, media, out = resource.write(reply)
        extra = [] if media in (JSON, b"") else [(b"content-disposition", b"inline")]
        await exchange.answer(status, media, out, *extra)


class RestExchange:
    """One request to the REST interface and the answer to it."""

    def __init__(self, scope: Any, receive: Any, send: Any, limits: Limits) -> None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        self.path = raw.decode("latin-1")
        self.head: Head = dict(scope["headers"])
        self.method: str = scope["method"]
        self.query: bytes = scope["query_string"]
        self.receive = receive
        self.allow = (b"allow", b"")
        self._send = send
        self._limits = limits

    async def body(self) -> bytes:
        """The JSON body; raises RefusedError for another media type or too many bytes."""
        media = self.head.get(b"content-type", JSON).partition(b";")[0].strip().lower()
        body = await received(self.receive, self._limits.body_bytes)
        if body is None:
            problem = Problem(413, f"a request may have {self._limits.body_bytes} bytes")
            problem.headers = [(b"connection", b"close")]
            raise RefusedError(problem)
        if body and media != JSON and not media.endswith(b"+json"):
            found = media.decode("latin-1")
            raise RefusedError(Problem(415, f"send `content-type: application/json`, not {found}"))
        return body

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem."""
        await self.answer(problem.status, MEDIA, problem.body(self.path), *problem.headers)

    async def page(self, media: bytes, body: bytes) -> None:
        """Answer with a page of the documentation."""
        if self.method not in ("GET", "HEAD"):
            raise RefusedError(Problem(405, "read this with GET", headers=[(b"allow", b"GET, HEAD")]))
        await self.answer(200, media, body, (b"cache-control", b"no-cache"))

    async def answer(self, status: int, media: bytes, body: bytes, *extra: tuple[bytes, bytes]) -> None:
        """Send a whole response."""
        length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
        await self.start(status, media, *length, *extra)
        await self.write(body, more=False)

    async def start(self, status: int, media: bytes, *extra: tuple[bytes, bytes]) -> None:
        """Send the head of a response."""
        headers = [*([(b"content-type", media)] if media else []), (b"x-content-type-options", b"nosniff"), *extra]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
