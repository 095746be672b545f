"""Forwards what is plain without a task: a GET without a body, whose answer arrives in one piece.

That is most of what a site is asked for, and the ASGI application that forwards everything (`forwarder.py`) takes
three times as long for it. Whatever turns out not to be plain is handed over to that, with the connection on which the
request may already be: so each rule about failures, repetition and pace has one place, there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meristem.context import Context
from meristem.gateway.answer import UnsoundAnswerError, read_answer
from meristem.gateway.connection import END_OF_HEAD
from meristem.head_fields import BAGGAGE, TRACE, TRACE_STATE
from meristem.hosting.asgi.exchange import exchange_of
from meristem.telemetry.http_requests import CLIENT_LEFT, FAILED
from meristem.transports.http.server.body import SizedBody
from meristem.transports.http.server.response_writer import answer_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.asgi import Scope
    from meristem.context import Position
    from meristem.gateway.request_head import UpstreamHead
    from meristem.gateway.upstream import Taken, Upstream
    from meristem.telemetry.http_requests import HttpRequests
    from meristem.transports.http.fast_path import FastOwner, PreparedRequest
    from meristem.transports.http.request import AnswerTerms, Request

UNUSUAL: Final = frozenset((TRACE, TRACE_STATE, BAGGAGE, b"expect", b"upgrade"))
KEPT: Final = 30.0  # seconds for which a head is sent again: it may hold a token, which lasts minutes
MOST_ANSWERS: Final = 128  # heads of answers that are known, for each mount
LONGEST: Final = 1024  # bytes of such a head


class Begun(NamedTuple):
    """What was done for a request that is handed over: it has a trace, and may have been sent by a connection."""

    trace: Position
    started: float
    taken: Taken | None


class PlainAnswer(NamedTuple):
    """The head of an answer as a client gets it, up to its empty line; its body is `length` bytes long."""

    status: int
    head: bytes
    length: int


class FastForwarding:
    """The short way to one upstream. What it `is_told` is told by nobody else."""

    def __init__(self, upstream: Upstream, heads: UpstreamHead, requests: HttpRequests, *, is_told: bool) -> None:
        self.upstream = upstream
        self.tracer = requests.tracer
        self.heads = heads
        self._requests = requests
        self._is_told = is_told
        self._answers: dict[tuple[bytes, AnswerTerms | None, Any], PlainAnswer | None] = {}

    def prepare(
        self, request: Request, scope: Callable[[], Scope], before: PreparedRequest | None
    ) -> PreparedForwarding | None:
        """The request as it goes out; None for one that goes the long way."""
        if request.method != "GET" or request.version != "1.1" or not UNUSUAL.isdisjoint(request.head):
            return None
        return PreparedForwarding(self, request, scope, before)

    def head(self, scope: Scope) -> bytes:
        """The head that an upstream is sent, up to its empty line."""
        return self.heads.head(scope, [])[:-2]

    def target(self, request: Request) -> bytes:
        """The target of a request as its upstream knows it."""
        path = self.heads.path(request.path)
        return b"%b?%b" % (path, request.query) if request.query else path

    def answer(self, raw: bytes, request: Request) -> PlainAnswer | None:
        """The answer with this head to a request; None for one that goes the long way, as what is compressed does."""
        terms = request.answer_terms
        key = raw, terms, None if terms is None else terms.key(request)
        if key in self._answers:
            return self._answers[key]
        found = self._learn(raw, request)
        if len(raw) <= LONGEST:
            if len(self._answers) >= MOST_ANSWERS:  # most name a second that is over
                self._answers.clear()
            self._answers[key] = found
        return found

    def _learn(self, raw: bytes, request: Request) -> PlainAnswer | None:
        try:
            answer = read_answer(raw, "GET")
        except UnsoundAnswerError:  # which is told by who goes on
            return None
        if answer.status < 200 or not answer.stays or type(answer.body) is not SizedBody:
            return None
        fields, terms = self.heads.returned(answer.fields), request.answer_terms
        if terms is not None:
            fields = terms.shape(request, fields)
            if terms.coder(request, answer.status, fields) is not None:
                return None
        try:
            lines = answer_lines(answer.status, fields)
        except ValueError:  # which is told by who goes on, too
            return None
        if not lines.is_dated or lines.closes:
            return None
        return PlainAnswer(answer.status, b"".join(lines.lines), answer.body.missing)

    def tell(self, prepared: PreparedForwarding, begun: Begun, status: int) -> None:
        """Tell of an answer where there is something to be told."""
        requests, tracer = self._requests, self.tracer
        if not self._is_told:
            return
        seconds = tracer.clock() - begun.started
        if requests.logged or status >= FAILED or seconds >= tracer.slow:
            exchange = exchange_of(prepared.scope)
            exchange.status, exchange.first, exchange.whole = status, seconds, True
            requests.ended(exchange, Context(None, begun.trace), None, seconds)
        else:
            requests.count(seconds, status)


class PreparedForwarding:
    """A request as it goes out, again and again.

    What the last one of its connection said beside its target is not written once more where this one says the same.
    """

    __slots__ = ("_fields", "_forwarding", "_route", "_scope_of", "_user", "head", "request", "until")

    def __init__(
        self, forwarding: FastForwarding, request: Request, scope: Callable[[], Scope], before: PreparedRequest | None
    ) -> None:
        self.request = request
        self._forwarding = forwarding
        self._scope_of = scope
        self._fields = request.fields
        self._route = request.route
        self._user = request.user
        self.head = b""
        self.until = 0.0
        if isinstance(before, PreparedForwarding) and before.serves(forwarding, request):
            rest = before.head.partition(b" HTTP/1.1\r\n")[2]
            self.head, self.until = b"GET %b HTTP/1.1\r\n%b" % (forwarding.target(request), rest), before.until
        else:
            self._write(forwarding.tracer.clock())

    def serves(self, forwarding: FastForwarding, request: Request) -> bool:
        """Whether another request says the same to the same upstream."""
        return (
            self._forwarding is forwarding
            and self._user is request.user
            and self._route == request.route
            and self._fields == request.fields
        )

    @property
    def scope(self) -> Scope:
        """What is known of the request; raises ContradictionError at the first time alone."""
        return self._scope_of()

    def send(self, owner: FastOwner) -> SentForwarding | None:
        """Send it over a connection that is open; None where it was handed over."""
        forwarding = self._forwarding
        tracer = forwarding.tracer
        now = tracer.clock()
        trace = tracer.begin(now)
        taken = None if trace.sampled else forwarding.upstream.take_kept()
        begun = Begun(trace, now, taken)
        if taken is None:
            owner.hand_over(begun)
            return None
        if now >= self.until or self.request.user is not self._user:
            self._write(now)
        sent = SentForwarding(forwarding, self, owner, begun, taken)
        taken.connection.ask_quickly(b"%btraceparent: %b\r\n\r\n" % (self.head, trace.header().encode()), "GET", sent)
        return sent

    def _write(self, now: float) -> None:
        self._user = self.request.user
        self.head, self.until = self._forwarding.head(self._scope_of()), now + KEPT


class SentForwarding:
    """A request that was sent, until its answer has come or is the app's to wait for."""

    __slots__ = ("_begun", "_forwarding", "_owner", "_prepared", "_taken")

    def __init__(
        self,
        forwarding: FastForwarding,
        prepared: PreparedForwarding,
        owner: FastOwner,
        begun: Begun,
        taken: Taken,
    ) -> None:
        self._forwarding = forwarding
        self._prepared = prepared
        self._owner = owner
        self._begun = begun
        self._taken = taken

    def answered(self, data: bytes) -> bool:
        """Pass on what has come, if that is all of an answer."""
        end = data.find(END_OF_HEAD) + 4
        if end < 4:
            return False
        forwarding, prepared = self._forwarding, self._prepared
        answer = forwarding.answer(data[:end], prepared.request)
        if answer is None or len(data) - end != answer.length:
            return False
        taken = self._taken
        taken.connection.finish_quickly()
        taken.release()
        forwarding.tell(prepared, self._begun, answer.status)
        self._owner.passed(answer.status, answer.head, data[end:])
        return True

    def hand_over(self) -> None:
        """Something else came, or the connection broke."""
        self._owner.hand_over(self._begun)

    def lost(self) -> None:
        """The client has gone: its upstream learns so by the end of the connection."""
        self._taken.connection.give_up()
        self._taken.release()
        self._forwarding.tell(self._prepared, self._begun, CLIENT_LEFT)
