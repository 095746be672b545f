"""The intake of events: CloudEvents that are posted to the public port by users with a role that their type names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.context import Trace
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.operation import Declaration, Operation, Semantics
from meristem.events.envelope import Envelope
from meristem.head_fields import AUTHORIZATION
from meristem.transports.authorize import bearer_of
from meristem.transports.http.compression import ENCODING
from meristem.transports.http.responses import NOSNIFF, Response
from meristem.transports.http.rest.codec import problem_response
from meristem.transports.http.rest.errors import Problem, problem_of
from meristem.transports.metadata import context_from
from meristem.transports.unary import LIGHT
from meristem.webhooks.incoming_request import read_events

if TYPE_CHECKING:
    from meristem.context import Identity
    from meristem.contracts.call import Handler
    from meristem.errors import CallError, Fault
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Principal
    from meristem.transports.http.request import PieceReader, PieceSource, Request
    from meristem.transports.unary import Codec
    from meristem.webhooks.acceptance import Acceptance

PATH: Final = "/cloudevents"
_ALLOW: Final = (b"allow", b"OPTIONS, POST")
_ORIGIN: Final = b"webhook-request-origin"


class AcceptedEvents(msgspec.Struct):
    """The events of one request, each of which may come in."""

    events: list[Envelope]


ACCEPT: Final = Operation(
    "meristem.events.v1.EventIntake",
    "accept",
    Declaration(Semantics.IDEMPOTENT, timeout=30.0, public=True),
    parameters=(),
    request=AcceptedEvents,
    spread=False,
    reply=type(None),
    stream=False,
    doc="Take events in from outside; returns when they are durable.",
)
"""Answered like every operation, with its deadline, trace and figures; by RPC nobody can call it."""


class PostedEvents(msgspec.Struct, gc=False):
    """A request to the intake. The token of the system's own services means nothing here."""

    request: Request
    body: bytes
    bearer: str | None
    heavy: bool
    user: Identity | None = None
    token: None = None


class IntakeCodec:
    """Reads what is posted, and answers: 202 when it is durable, else a problem (RFC 9457)."""

    operation = ACCEPT

    def __init__(self, acceptance: Acceptance, handler: Handler, limits: Limits) -> None:
        self.handler = handler
        self._acceptance = acceptance
        self._limits = limits

    def read(self, request: PostedEvents, principal: Principal | None, user: Identity | None) -> Call:
        """The call; raises CallError for whom nothing is accepted from, then for what is wrong with the events."""
        admitted = self._acceptance.admit(user)
        context = context_from(request.request.head, principal, admitted)
        context.key = None  # an event has a name of its own
        events: list[Envelope] = []
        if request.request.method == "POST":
            events = read_events(
                request.request, request.body, self._limits, lambda each: self._acceptance.check(each, admitted)
            )
        if len(events) == 1 and (trace := Trace.parse(events[0].traceparent, events[0].tracestate, foreign=True)):
            context.trace = trace  # in which the event happened: what brought it here says less
        return Call(ACCEPT, AcceptedEvents(events), context)

    def reply(self, request: PostedEvents, reply: None) -> Response:  # noqa: ARG002 - of `Codec`
        if request.request.method == "POST":
            return Response(202, b"", b"", [NOSNIFF])
        # CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery" 1.0.2, section 4.2
        return Response(204, b"", b"", [NOSNIFF, _ALLOW, *_permission(request.request)])

    def failure(self, request: PostedEvents, error: Fault | CallError) -> Response:
        return problem_response(problem_of(error, ""), request.request.path.decode("latin-1"))


class EventIntake:
    """Serves `PATH`: POST takes events in, OPTIONS tells a signed-in sender that it may."""

    takes_body: Final = True
    asks_client: Final = False
    takes_stream: Final = False

    def __init__(self, acceptance: Acceptance, served: ServedOperation, limits: Limits) -> None:
        self._codec = IntakeCodec(acceptance, served.handler, limits)

    def find(self, request: Request) -> EventIntake | Response | None:
        """The intake, the response where nothing is taken in, None for another path."""
        if request.path != PATH.encode():
            return None
        if request.method == "POST" or (request.method == "OPTIONS" and _ORIGIN in request.head):
            return self
        if request.method == "OPTIONS":
            return Response(204, b"", b"", [NOSNIFF, _ALLOW])
        problem = Problem(405, "events are sent here with POST", headers=[_ALLOW])
        return problem_response(problem, PATH)

    def received(self, request: Request, body: bytes) -> tuple[IntakeCodec, PostedEvents]:
        """The codec, and what it reads."""
        heavy = len(body) > LIGHT or ENCODING in request.head
        return self._codec, PostedEvents(request, body, bearer_of(request.head.get(AUTHORIZATION)), heavy, request.user)

    def reader(self) -> PieceReader[Any]:
        """Not asked for: events come whole."""
        raise NotImplementedError

    def streamed(self, request: Request, source: PieceSource[Any], *, inside: bool) -> tuple[Codec[Any, Any], Any]:
        """Not asked for: events come whole."""
        raise NotImplementedError


def _permission(request: Request) -> list[tuple[bytes, bytes]]:
    """That whoever asked may send, at any rate: each request is known by its token anyway."""
    fields = [(b"webhook-allowed-origin", request.head[_ORIGIN])]
    return [*fields, (b"webhook-allowed-rate", b"*")] if b"webhook-request-rate" in request.head else fields
