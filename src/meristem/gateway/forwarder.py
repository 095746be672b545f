"""Forwards the requests of one mount to the processes in which its app or program lives."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from meristem.asgi import BrokenOffError
from meristem.gateway.answer import UnsoundAnswerError
from meristem.gateway.body_sender import BodySender
from meristem.gateway.connection import UpstreamLostError
from meristem.gateway.request_head import BodyForm
from meristem.gateway.upstream import AwayError
from meristem.hosting.asgi.exchange import disclaim
from meristem.hosting.asgi.refusal import refuse
from meristem.transports.http.fast_path import BEGUN, RETRIES

if TYPE_CHECKING:
    from meristem.asgi import Receive, Scope, Send
    from meristem.gateway.answer import UpstreamAnswer
    from meristem.gateway.connection import UpstreamConnection
    from meristem.gateway.request_head import UpstreamHead
    from meristem.gateway.upstream import Taken, Upstream

logger = logging.getLogger(__name__)
SAFE: Final = ("GET", "HEAD", "OPTIONS", "TRACE")  # RFC 9110, 9.2.1: these change nothing, so they may be sent twice
ATTEMPTS: Final = 3
WATCHED_AFTER: Final = 0.05  # seconds for an answer, after which it is watched whether the client leaves
AWAY: Final = "what answers here is not there; try again in a moment"


class NotServedError(Exception):
    """The request has reached nobody: it may be sent to another replica."""


class Forwarder:
    """An ASGI application that has an `upstream` answer; requests and answers stream, at the pace of who takes them."""

    def __init__(self, upstream: Upstream, heads: UpstreamHead) -> None:
        self._upstream = upstream
        self._heads = heads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            from meristem.gateway.websocket_tunnel import forward_websocket  # noqa: PLC0415 - few forward some

            await forward_websocket(self._upstream, self._heads, scope, receive, send)
        elif scope["type"] == "http":
            await self._forward(scope, receive, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        form = BodyForm(scope["headers"])
        upload = BodySender(receive, form, asks_in_vain=not self._upstream.tells)
        is_safe = scope["method"] in SAFE
        begun = scope.get("state", {}).pop(BEGUN, None)
        asked: Taken | None = None if begun is None else begun.taken
        retries: int = scope.get("state", {}).pop(RETRIES, 0) if is_safe else 0
        for attempt in range(max(ATTEMPTS, retries + 1)):
            try:
                taken = asked or await self._upstream.take(repeatable=is_safe, fresh=attempt > 0)
            except AwayError as error:
                logger.warning("%s; %s is answered with 503", error, scope["path"])
                disclaim(scope)
                await refuse(send, 503, AWAY, (b"retry-after", b"1"))
                return
            exchange = Exchange(scope, form, taken, upload, self._heads, tells=self._upstream.tells)
            try:
                await exchange.run(send, may_repeat=is_safe, is_asked=asked is not None)
            except NotServedError as error:
                asked = None
                if upload.is_repeatable and attempt + 1 < ATTEMPTS:
                    continue
                await self._fail(scope, send, str(error), 503, (b"retry-after", b"1"))
            except (UpstreamLostError, UnsoundAnswerError) as error:
                if upload.has_left:
                    return
                if attempt < retries and upload.is_repeatable and not exchange.has_begun:
                    asked = None
                    continue
                if exchange.has_begun:
                    logger.warning("%s broke off its answer to %s: %s", self._upstream.name, scope["path"], error)
                    raise BrokenOffError(str(error)) from None
                await self._fail(scope, send, str(error), 502)
            return

    async def _fail(self, scope: Scope, send: Send, why: str, status: int, *fields: tuple[bytes, bytes]) -> None:
        logger.warning("%s did not answer %s %s: %s", self._upstream.name, scope["method"], scope["path"], why)
        disclaim(scope)
        await refuse(send, status, "what answers here has failed before its answer", *fields)


class Exchange:
    """One request that is sent to one replica, and the answer on its way back."""

    def __init__(
        self, scope: Scope, form: BodyForm, taken: Taken, upload: BodySender, heads: UpstreamHead, *, tells: bool
    ) -> None:
        self.has_begun = False  # the client has a part of the answer
        self._scope = scope
        self._form = form
        self._taken = taken
        self._upload = upload
        self._heads = heads
        self._tells = tells
        self._sending: asyncio.Task[None] | None = None

    async def run(self, send: Send, *, may_repeat: bool, is_asked: bool = False) -> None:
        """Send the request, unless that was done, and have the answer sent.

        Raises NotServedError, UpstreamLostError, UnsoundAnswerError.
        """
        taken, connection, loop = self._taken, self._taken.connection, self._taken.connection.loop
        watch: asyncio.TimerHandle | None = None
        try:
            if not is_asked:
                connection.ask(self._heads.head(self._scope, self._form.lines()), self._scope["method"])
            if self._form.is_there:
                self._watch(connection)
            else:  # nearly every answer comes at once, and a task for each would cost more than the rest
                watch = loop.call_later(WATCHED_AFTER, self._watch, connection)
            answer = await self._answer(may_repeat=may_repeat)
            await self._relay(answer, send)
        except BaseException:
            connection.close()
            raise
        finally:
            if watch is not None:
                watch.cancel()
            if self._sending is not None:
                await self._end(self._sending)
            taken.release()

    def _watch(self, connection: UpstreamConnection) -> None:
        self._sending = connection.loop.create_task(self._upload.run(connection), name="upload")

    async def _end(self, sending: asyncio.Task[None]) -> None:
        is_over = sending.done()
        if not is_over:
            sending.cancel()
            await asyncio.wait({sending})
        if not sending.cancelled() and (failure := sending.exception()) is not None:
            raise failure

    async def _answer(self, *, may_repeat: bool) -> UpstreamAnswer:
        try:
            answer = await self._taken.connection.answer()
        except UpstreamLostError as error:
            if not error.touched and not self._upload.has_left and may_repeat:
                raise NotServedError(str(error)) from None
            raise
        if self._tells and _is_farewell(answer):
            raise NotServedError("it ends, and did not take the request")
        return answer

    async def _relay(self, answer: UpstreamAnswer, send: Send) -> None:
        connection = self._taken.connection
        self.has_begun = True
        fields = self._heads.returned(answer.fields)
        await send({"type": "http.response.start", "status": answer.status, "headers": fields})
        more = True
        while more:
            part, more = await connection.part()
            if not more:
                self._settle(connection)
            await send({"type": "http.response.body", "body": part, "more_body": more})

    def _settle(self, connection: UpstreamConnection) -> None:
        """The answer has come: unless the body was sent whole, the connection is good for nothing more."""
        if self._form.is_there and not self._upload.is_sent:
            connection.close()
        else:
            connection.finish()


def _is_farewell(answer: UpstreamAnswer) -> bool:
    """Whether that is what a server of ours says before it closes, instead of serving what is on its way."""
    return answer.status == 408 and not answer.stays and answer.head.get(b"content-length") == b"0"
