"""Forwards what is plain without a task: a GET without a body, whose answer arrives in one piece.

That is most of what a site is asked for, and the ASGI application that forwards everything (`forwarder.py`) takes
three times as long for it. Whatever turns out not to be plain is handed over to that, with the connection on which the
request may already be: so each rule about failures, repetition and pace has one place, there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.context import Context
from meristem.gateway.answer import UnsoundAnswerError, read_answer
from meristem.head_fields import BAGGAGE, TRACE, TRACE_STATE
from meristem.hosting.asgi.exchange import exchange_of
from meristem.telemetry.http_requests import FAILED
from meristem.transports.http.server.body import SizedBody
from meristem.transports.http.server.response_writer import answer_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.asgi import Field, Scope
    from meristem.context import Position
    from meristem.gateway.request_head import UpstreamHead
    from meristem.gateway.upstream import Taken, Upstream
    from meristem.telemetry.http_requests import HttpRequests
    from meristem.transports.http.fast_path import FastOwner
    from meristem.transports.http.request import AnswerTerms, Request

END_OF_HEAD: Final = b"\r\n\r\n"
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
    """What the head of an answer says, the body of which is `length` bytes long."""

    status: int
    fields: list[Field]
    length: int


class ShapedAnswer(NamedTuple):
    """The head of an answer as it came, and as one client gets it by these terms, up to its empty line."""

    raw: bytes
    terms: AnswerTerms | None
    answer: PlainAnswer
    head: bytes


class FastForwarding:
    """The short way to one upstream. What it `is_told` is told by nobody else."""

    def __init__(self, upstream: Upstream, heads: UpstreamHead, requests: HttpRequests, *, is_told: bool) -> None:
        self.upstream = upstream
        self.tracer = requests.tracer
        self._heads = heads
        self._requests = requests
        self._is_told = is_told
        self._answers: dict[bytes, PlainAnswer] = {}

    def prepare(self, request: Request, scope: Callable[[], Scope]) -> PreparedForwarding | None:
        """The request as it goes out; None for one that goes the long way."""
        if request.method != "GET" or request.version != "1.1" or not UNUSUAL.isdisjoint(request.head):
            return None
        return PreparedForwarding(self, request, scope)

    def head(self, scope: Scope) -> bytes:
        """The head that an upstream is sent, up to its empty line."""
        return self._heads.head(scope, [])[:-2]

    def known(self, raw: bytes) -> PlainAnswer | None:
        """The answer with this head; None for one that goes the long way."""
        found = self._answers.get(raw)
        return self._learn(raw) if found is None else found

    def _learn(self, raw: bytes) -> PlainAnswer | None:
        try:
            answer = read_answer(raw, "GET")
        except UnsoundAnswerError:  # which is told by who goes on
            return None
        if answer.status < 200 or not answer.stays or type(answer.body) is not SizedBody:
            return None
        found = PlainAnswer(answer.status, self._heads.returned(answer.fields), answer.body.missing)
        if len(raw) <= LONGEST:
            if len(self._answers) >= MOST_ANSWERS:  # most name a second that is over
                self._answers.clear()
            self._answers[raw] = found
        return found

    def tell(self, scope: Scope, begun: Begun, status: int) -> None:
        """Tell of an answer where there is something to be told."""
        requests, tracer = self._requests, self.tracer
        if not self._is_told:
            return
        seconds = tracer.clock() - begun.started
        if requests.logged or status >= FAILED or seconds >= tracer.slow:
            exchange = exchange_of(scope)
            exchange.status, exchange.first, exchange.whole = status, seconds, True
            requests.ended(exchange, Context(None, begun.trace), None, seconds)
        else:
            requests.count(seconds, status)


class PreparedForwarding:
    """A request as it goes out, again and again."""

    __slots__ = ("_forwarding", "_head", "_scope_of", "_shaped", "_until", "_user", "request", "scope")

    def __init__(self, forwarding: FastForwarding, request: Request, scope: Callable[[], Scope]) -> None:
        self.request = request
        self._forwarding = forwarding
        self._scope_of = scope
        self._shaped: ShapedAnswer | None = None
        self._write(forwarding.tracer.clock())

    def send(self, owner: FastOwner) -> SentForwarding | None:
        """Send it over a connection that is open; None where it was handed over."""
        forwarding = self._forwarding
        tracer = forwarding.tracer
        now = tracer.clock()
        trace = tracer.enter(None, now)
        taken = None if trace.sampled else forwarding.upstream.take_kept()
        begun = Begun(trace, now, taken)
        if taken is None:
            owner.hand_over(begun)
            return None
        if now >= self._until or self.request.user is not self._user:
            self._write(now)
        sent = SentForwarding(forwarding, self, owner, begun, taken)
        taken.connection.ask_quickly(b"%btraceparent: %b\r\n\r\n" % (self._head, trace.header().encode()), "GET", sent)
        return sent

    def answer(self, raw: bytes) -> ShapedAnswer | None:
        """The answer with this head; None for one that goes the long way, as what is compressed does."""
        shaped, request = self._shaped, self.request
        if shaped is not None and shaped.terms is request.answer_terms and shaped.raw == raw:
            return shaped
        answer, terms = self._forwarding.known(raw), request.answer_terms
        if answer is None:
            return None
        fields = answer.fields
        if terms is not None:
            fields = terms.shape(request, fields)
            if terms.coder(request, answer.status, fields) is not None:
                return None
        try:
            lines = answer_lines(answer.status, fields)
        except ValueError:  # which is told by who goes on, as what else is unsound
            return None
        if not lines.is_dated or lines.closes:
            return None
        self._shaped = shaped = ShapedAnswer(raw, terms, answer, b"".join(lines.lines))
        return shaped

    def _write(self, now: float) -> None:
        self.scope, self._user = self._scope_of(), self.request.user
        self._head, self._until = self._forwarding.head(self.scope), now + KEPT


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
        forwarding, shaped = self._forwarding, self._prepared.answer(data[:end])
        if shaped is None or len(data) - end != shaped.answer.length:
            return False
        taken = self._taken
        taken.connection.finish_quickly()
        taken.release()
        forwarding.tell(self._prepared.scope, self._begun, shaped.answer.status)
        self._owner.passed(shaped.head, data[end:])
        return True

    def hand_over(self) -> None:
        """Something else came, or the connection broke."""
        self._owner.hand_over(self._begun)

    def lost(self) -> None:
        """The client has gone: its upstream learns so by the end of the connection."""
        self._taken.connection.give_up()
        self._taken.release()
        self._forwarding.tell(self._prepared.scope, self._begun, 499)
