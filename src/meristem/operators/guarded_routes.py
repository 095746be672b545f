"""The one way to the operator contracts: who asks is known, only operators act, and what they do is written down."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from meristem.contracts.codec import encode
from meristem.contracts.operation import Semantics
from meristem.errors import Code, MisuseError
from meristem.operators.actors import ACTING
from meristem.operators.same_origin import is_of_own_page
from meristem.transports.http.errors import HTTP_STATUS
from meristem.transports.http.responses import JSON, Response
from meristem.transports.http.server.http_server import routes_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from meristem.context import Identity
    from meristem.contracts.call import Call, Handler, ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.errors import CallError, Fault
    from meristem.operators.action_log import ActionLog
    from meristem.operators.actors import Actor
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Principal
    from meristem.transports.http.connect.framing import EnvelopeReader
    from meristem.transports.http.connect.interface import Route
    from meristem.transports.http.request import PieceSource, Request, StreamedReply
    from meristem.transports.unary import Codec

PREFIX: Final = b"/meristem.operator."
GUARDS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
VIEWS: Final = "you look on as a viewer, and {operation} changes something: sign in by the operator's token for that"
FOREIGN: Final = (
    "a page of another address sent this, and it would act with your session: act on the dashboard's own pages"
)
NOT_SIGNED_IN: Final = "this takes a token of the dashboard: `meristem dashboard` prints a link that has it"


class Admission(Protocol):
    """Tells who sends a request; None for somebody whom nobody knows."""

    def __call__(self, request: Request, /) -> Actor | None: ...


class GuardedRoutes:
    """The operator contracts at one kind of address, where `admit` tells who asks.

    All that is not `@safe` is for operators, from no page of another site, and stands in the `log` before it is done.
    So a contract is guarded by being served here.
    """

    def __init__(self, routes: Mapping[str, ServedOperation], limits: Limits, admit: Admission, log: ActionLog) -> None:
        for each in routes.values():
            if changes(each.operation) and each.operation.lasts:
                raise MisuseError(
                    f"{each.operation.label} acts and has a stream: let it be answered once, to be logged"
                )
        self._routes = routes_of(routes, limits)
        self._admit = admit
        self._log = log

    def find(self, request: Request) -> GuardedRoute | Response | None:
        if not request.path.startswith(PREFIX):
            return None
        actor = self._admit(request)
        if actor is None:
            return _refusal(Code.UNAUTHENTICATED, NOT_SIGNED_IN, (b"www-authenticate", b"Bearer"))
        route = self._routes.get(request.path)
        if route is None:
            return None
        if changes(route.operation):
            own = is_of_own_page(request.fields)
            # Who has a session is a browser, and every browser tells where what it sends comes from.
            if own is False or (own is None and actor.means == "cookie"):
                return self._refuse(actor, route.operation, FOREIGN)
            if actor.role != "operator":
                return self._refuse(actor, route.operation, VIEWS.format(operation=route.operation.label))
        return route.refusal(request) or GuardedRoute(route, actor, self._log)

    def _refuse(self, actor: Actor, operation: Operation, why: str) -> Response:
        self._log.refuse(actor, operation, why)
        return _refusal(Code.PERMISSION_DENIED, why)


class GuardedRoute:
    """An operation as somebody asks for it."""

    asks_client = True

    def __init__(self, route: Route, actor: Actor, log: ActionLog) -> None:
        self._route = route
        self._actor = actor
        self._log = log
        self.takes_body = route.takes_body

    @property
    def takes_stream(self) -> bool:
        return self._route.takes_stream

    def received(self, request: Request, body: bytes) -> tuple[Codec[Any, Any], Any]:
        codec, read = self._route.received(request, body)
        return self._guarded(codec, request), read

    def reader(self) -> EnvelopeReader:
        return self._route.reader()

    def streamed(
        self, request: Request, source: PieceSource[tuple[int, bytes]], *, inside: bool
    ) -> tuple[Codec[Any, StreamedReply], Any]:
        codec, read = self._route.streamed(request, source, inside=inside)
        return self._guarded(codec, request), read

    def _guarded(self, codec: Codec[Any, Any], request: Request) -> GuardedCodec:
        actor = self._actor._replace(address=request.client, user_id=request.user_id)
        handler = looking(codec.handler, actor)
        return GuardedCodec(codec, acting(handler, actor, self._log) if changes(codec.operation) else handler)


class GuardedCodec:
    """A codec whose handler is another one."""

    def __init__(self, codec: Codec[Any, Any], handler: Handler) -> None:
        self.handler = handler
        self._codec = codec

    @property
    def operation(self) -> Operation:
        return self._codec.operation

    def read(self, request: Any, principal: Principal | None, user: Identity | None) -> Call:
        return self._codec.read(request, principal, user)

    def reply(self, request: Any, reply: Any) -> Any:
        return self._codec.reply(request, reply)

    def failure(self, request: Any, error: Fault | CallError) -> Any:
        return self._codec.failure(request, error)


def changes(operation: Operation) -> bool:
    """Whether an operation changes something."""
    return operation.semantics is not Semantics.SAFE


def looking(handler: Handler, actor: Actor) -> Handler:
    """The handler, which can tell by `ACTING` who asks."""

    async def answer(call: Call) -> Any:
        ACTING.set(actor)  # each call has a task, and so variables, of its own
        return await handler(call)

    return answer


def acting(handler: Handler, actor: Actor, log: ActionLog) -> Handler:
    """The handler, with a line of the log before it and one after."""

    async def act(call: Call) -> Any:
        return await logged(log, actor, call.operation, call.request, lambda: handler(call))

    return act


async def logged(
    log: ActionLog, actor: Actor, operation: Operation, request: Any, do: Callable[[], Awaitable[Any]]
) -> Any:
    """Do it, with a line of the log before it and one after."""
    entry = await log.begin(actor, operation, request)
    began = monotonic()
    try:
        reply = await do()
    except BaseException as error:
        await log.end(entry, monotonic() - began, error)
        raise
    await log.end(entry, monotonic() - began, None, reply)
    return reply


def _refusal(code: Code, why: str, *fields: tuple[bytes, bytes]) -> Response:
    """An error of the Connect protocol, before anything of the request is read."""
    return Response(HTTP_STATUS[code], JSON, encode({"code": code.value, "message": why}), [*fields, *GUARDS])
