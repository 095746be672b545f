"""A connection at a public address with a policy: each request waits for its verdict, and is answered as that says."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from meristem.failure_log import log_failure
from meristem.transports.http.edge_policy import Admitted
from meristem.transports.http.responses import Response, refused
from meristem.transports.http.server.phases import BUSY
from meristem.transports.http.server.told_connection import ToldConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.transports.http.edge_policy import EdgePolicy, Verdict
    from meristem.transports.http.request import Request
    from meristem.transports.http.server.body import IncomingBody
    from meristem.transports.http.server.listener import Listener
    from meristem.transports.http.server.told_connection import AnsweredRequest, OnAnswer

logger = logging.getLogger(__name__)
FAILED: Final = refused(500, "what decides who may come in here has failed; nothing was done")


class PolicedConnection(ToldConnection):
    """One connection, whose requests `policy` decides about."""

    __slots__ = ("_decided", "_left", "_policy")

    def __init__(self, listener: Listener, on_answer: OnAnswer | None, policy: EdgePolicy) -> None:
        super().__init__(listener, on_answer or _nobody)
        self._policy = policy
        self._decided: Verdict | Awaitable[Verdict] | None = None  # about a request that is read once more
        self._left: Callable[[], None] | None = None

    def recognizes(self, data: bytes) -> bool:
        last = self.last
        if last is None or len(data) != last.size or not data.startswith(last.request.raw):
            return super().recognizes(data)
        verdict = self._check(last.request)
        if isinstance(verdict, Admitted):
            self._admit(last.request, verdict)
            return super().recognizes(data)
        if isinstance(verdict, Response):
            self._began = perf_counter()
            self.request = last.request
            self.finish(verdict)
            return True
        self._decided = verdict  # which takes time: the request is read again, and awaits it there
        return False

    def route(self, request: Request, body: IncomingBody) -> None:
        decided, self._decided = self._decided, None
        if decided is None:
            if not self.knows_client(request):
                return
            decided = self._check(request)
        if isinstance(decided, Admitted | Response):
            self._follow(decided, request, body)
        else:
            self.phase = BUSY
            self.task = self.loop.create_task(self._await(decided, request, body), name="policy")

    def finish(self, response: Response, *, close: bool = False) -> None:
        if self.request is not None and self.request.answer_fields:
            response = replace(response, fields=[*response.fields, *self.request.answer_fields])
        self._leave()
        super().finish(response, close=close)

    def answered(self, *, close: bool) -> None:
        self._leave()
        super().answered(close=close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def _check(self, request: Request) -> Verdict | Awaitable[Verdict]:
        request.answer_fields, request.user = (), None
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
        if self.transport.is_closing():
            if isinstance(verdict, Admitted) and verdict.left is not None:
                verdict.left()
            return
        self._follow(verdict, request, body)
        self.read_on()

    def _follow(self, verdict: Verdict, request: Request, body: IncomingBody) -> None:
        if isinstance(verdict, Admitted):
            self._admit(request, verdict)
            super().route(request, body)
        else:
            self.take(verdict, request, body)

    def _admit(self, request: Request, verdict: Admitted) -> None:
        request.answer_fields = verdict.fields
        self._left = verdict.left

    def _leave(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            left()


def _nobody(answered: AnsweredRequest) -> None:
    """What is told where nobody wants to know."""
