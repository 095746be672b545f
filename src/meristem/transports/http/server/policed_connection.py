"""A connection at a public address with a policy: each request waits for its verdict, and is answered as that says."""

from __future__ import annotations

import logging
from functools import partial
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from meristem.context import DEADLINE_FIELD
from meristem.failure_log import log_failure
from meristem.transports.http.edge_policy import CUT_OFF, Admitted
from meristem.transports.http.responses import COALESCED, Response, refused
from meristem.transports.http.server.body import ChunkedBody, SizedBody
from meristem.transports.http.server.head import expects_continue, persists
from meristem.transports.http.server.hosted import HostedRequest
from meristem.transports.http.server.intake import MOST_DROPPED, Intake
from meristem.transports.http.server.phases import BODY, BUSY
from meristem.transports.http.server.told_connection import CLIENT_LEFT, ToldConnection
from meristem.transports.unary import READER

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Awaitable, Callable

    from meristem.transports.http.edge_policy import EdgePolicy, Pending, Verdict
    from meristem.transports.http.request import BodyCoder, Request
    from meristem.transports.http.server.body import IncomingBody
    from meristem.transports.http.server.listener import Listener
    from meristem.transports.http.server.told_connection import AnsweredRequest, OnAnswer

logger = logging.getLogger(__name__)
DEADLINE: Final = DEADLINE_FIELD.encode()
MOST_DIGITS: Final = 10
FAILED: Final = refused(500, "what decides who may come in here has failed; nothing was done")


class PolicedConnection(ToldConnection):
    """One connection, whose requests `policy` decides about."""

    __slots__ = ("_checked", "_left", "_policy", "_timer", "_version")

    def __init__(self, listener: Listener, on_answer: OnAnswer | None, policy: EdgePolicy) -> None:
        super().__init__(listener, on_answer or _nobody)
        self._policy = policy
        self._version = policy.version
        self._checked: tuple[Request, Pending] | None = None  # about a request that is read once more
        self._left: Callable[[], None] | None = None
        self._timer: TimerHandle | None = None

    def recognizes(self, data: bytes) -> bool:
        if self._policy.version is not self._version:  # what other rules have made of a request holds no more
            self._version = self._policy.version
            self.last = self.prepared = None
        request = self.repeated(data)
        if request is None:
            return super().recognizes(data)
        verdict = self._check(request)
        if isinstance(verdict, Admitted):
            self._admit(request, verdict)
            return super().recognizes(data)
        if isinstance(verdict, Response):
            self._began = perf_counter()
            self.request = request
            self.finish(verdict)
            return True
        self._checked = request, verdict  # which takes time: its body is cut out anew meanwhile
        return False

    def route(self, request: Request, body: IncomingBody) -> None:
        asked, self._checked = self._checked, None
        if asked is not None:  # what the policy has found out of it stands in the first one, of the same bytes
            self.request = request = asked[0]
            decided: Verdict | Pending = asked[1]
        elif self.knows_client(request):
            decided = self._check(request)
        else:
            return
        if isinstance(decided, Admitted | Response):
            self._follow(decided, request, body)
        else:
            self.phase = BUSY
            self._left = decided.left  # who goes before the task has begun would be told to nobody else
            self.task = self.loop.create_task(self._await(decided.verdict, request, body), name="policy")

    def finish(self, response: Response, *, close: bool = False) -> None:
        if response is CUT_OFF:
            self._tell(self.request, None, self._began, response.status)
            self.transport.abort()
            return
        request, coder = self.request, None
        if request is not None:
            request.count(response.status)
        if request is not None and (request.answer_fields or request.answer_terms is not None):
            fields, terms = [*response.fields], request.answer_terms
            if terms is not None:
                fields = terms.shape(request, fields)
                coder = terms.coder(request, response.status, fields, response.media, len(response.body))
            response = replace(response, fields=[*fields, *request.answer_fields])
        if coder is None:
            self._finish(response, close=close)
        elif len(response.body) < COALESCED or self.hosted is not None:
            self._finish(replace(response, body=coder.feed(response.body, more=False)), close=close)
        else:
            self.phase = BUSY
            self.task = self.loop.create_task(self._coded(coder, response, close=close), name="compression")

    def _finish(self, response: Response, *, close: bool) -> None:
        self._leave()
        super().finish(response, close=close)

    def passed(self, status: int, head: bytes, body: bytes) -> None:
        if self.request is not None:
            self.request.count(status)
        self._leave()
        super().passed(status, head, body)

    async def _coded(self, coder: BodyCoder, response: Response, *, close: bool) -> None:
        """Answer once a large body is compressed: others must not wait for that."""
        body = await self.loop.run_in_executor(READER, partial(coder.feed, response.body, more=False))
        self.task = None
        self._finish(replace(response, body=body), close=close or self.listener.draining)
        self.read_on()

    def answered(self, *, close: bool) -> None:
        self._leave()
        super().answered(close=close)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.request is not None:
            self.request.count(CLIENT_LEFT)
        self._leave()
        super().connection_lost(exc)

    def _check(self, request: Request) -> Verdict | Pending:
        request.answer_fields, request.answer_terms, request.user, request.tally = (), None, None, None
        try:
            return self._policy.check(request)
        except Exception as error:  # a boundary: what can't decide lets nobody in
            log_failure(logger, error, "the policy failed at %s", request.path.decode("latin-1"))
            return FAILED

    async def _await(self, decided: Awaitable[Verdict], request: Request, body: IncomingBody) -> None:
        try:
            verdict = await decided
        except Exception as error:  # a boundary, as in `_check`
            log_failure(logger, error, "the policy failed at %s", request.path.decode("latin-1"))
            verdict = FAILED
        self.task = None
        if self.transport.is_closing():  # what is held is given back by `connection_lost`
            return
        self._follow(verdict, request, body)
        self.read_on()

    def _follow(self, verdict: Verdict, request: Request, body: IncomingBody) -> None:
        if isinstance(verdict, Admitted):
            if verdict.body_bytes is not None and isinstance(body, ChunkedBody):
                body.bound(verdict.body_bytes)
            self._admit(request, verdict)
            super().route(request, body)
        elif verdict is CUT_OFF:
            self.finish(verdict)
        else:
            self._turn_away(verdict, request, body)

    def _admit(self, request: Request, verdict: Admitted) -> None:
        request.answer_fields, request.answer_terms = verdict.fields, verdict.terms
        request.retries = verdict.retries
        request.tally, request.began = verdict.tally, self._began
        self._left = verdict.left
        if verdict.timeout is not None:
            give_deadline(request, verdict.timeout)
            self._timer = self.loop.call_later(verdict.timeout, self._expire)

    def _turn_away(self, response: Response, request: Request, body: IncomingBody) -> None:
        """Answer before the body has come: a little of that is dropped behind the answer, of more the end is one."""
        missing = body.missing if isinstance(body, SizedBody) else 0
        close = self.listener.draining or expects_continue(request) or missing - len(self.inbox) > MOST_DROPPED
        self.unread = close and not body.done
        self.finish(response, close=close)
        if not (body.done or close or self.transport.is_closing()) and persists(request):
            self.phase = BODY
            self.intake = intake = Intake(self, request, body, None, max(MOST_DROPPED, missing))
            intake.collect()

    def _expire(self) -> None:
        """The time for an answer is over; an operation ends by its own deadline, and tells more."""
        self._timer = None
        passing, self.passing = self.passing, None
        if passing is not None:
            passing.lost()
        elif not isinstance(self.hosted, HostedRequest) or self.hosted.must_abort or self.transport.is_closing():
            return
        self.refuse(504, "what answers here took too long")

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left, self._left = self._left, None
        if left is not None:
            left()


def give_deadline(request: Request, timeout: float) -> None:
    """Tell what answers a request that it has `timeout` seconds, unless its client gives it less."""
    told = request.head.get(DEADLINE, b"")
    milliseconds = ceil(timeout * 1000)
    if not told.isdigit() or len(told) > MOST_DIGITS or int(told) > milliseconds:
        field = (DEADLINE, b"%d" % milliseconds)
        request.head = {**request.head, DEADLINE: field[1]}
        request.fields = [*(each for each in request.fields if each[0] != DEADLINE), field]


def _nobody(answered: AnsweredRequest) -> None:
    """What is told where nobody wants to know."""
