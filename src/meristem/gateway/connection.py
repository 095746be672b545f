"""A connection to an upstream: one request at a time, whose answer is read no faster than it is taken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from meristem.gateway.answer import MOST_OF_HEAD, UnsoundAnswerError, UntilEnd, UpstreamAnswer, read_answer
from meristem.transports.http.server.head import UnsoundError
from meristem.transports.http.writing import WritingProtocol

if TYPE_CHECKING:
    from meristem.transports.http.address import Address

WINDOW: Final = 256 * 1024  # bytes of an answer that wait to be taken; then the connection is read no further
UNTAKEN: Final = 10.0  # seconds for an upstream to take what is written before an end
END_OF_HEAD: Final = b"\r\n\r\n"
CONTINUE: Final = 100
SWITCHING: Final = 101


class UpstreamLostError(Exception):
    """The answer will not come, or breaks off; `touched` says that a part of it has come."""

    def __init__(self, reason: str, *, touched: bool = False) -> None:
        super().__init__(reason)
        self.touched = touched


class QuickAsker(Protocol):
    """Who asks without a task, and is told of the answer as it comes."""

    def answered(self, data: bytes) -> bool:
        """Take the first that has come; whether it was the whole answer."""
        ...

    def hand_over(self) -> None:
        """It was not, or the connection has ended: somebody has to await the rest."""
        ...


class UpstreamConnection(WritingProtocol):
    """Carries requests one after the other, as long as it `is_free` in between."""

    __slots__ = (
        "_answer", "_continued", "_failure", "_inbox", "_is_held", "_method", "_news", "_quick", "_upgrades",
        "idle_since",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.idle_since = 0.0
        self._inbox = bytearray()
        self._method = ""  # of the request under way
        self._answer: UpstreamAnswer | None = None
        self._upgrades = False
        self._continued: asyncio.Future[bool] | None = None
        self._failure: UpstreamLostError | None = None
        self._news: asyncio.Future[None] | None = None
        self._is_held = False
        self._quick: QuickAsker | None = None

    # Requests

    @property
    def is_free(self) -> bool:
        """Whether it may carry one more request."""
        return self._failure is None and not self._method and not self.transport.is_closing()

    def ask(self, head: bytes, method: str, *, upgrades: bool = False) -> None:
        """Send the head of a request; its body follows by `write`."""
        self._method, self._upgrades = method, upgrades
        self.write(head)

    def ask_quickly(self, head: bytes, method: str, quick: QuickAsker) -> None:
        """Send a request without a body, whose answer `quick` is told of."""
        self._quick = quick
        self.ask(head, method)

    def write(self, data: bytes) -> None:
        """Send a part of the body; nothing once the connection has ended, which is told to who awaits the answer."""
        if not self.transport.is_closing():
            self.transport.write(data)

    async def continued(self, patience: float | None) -> bool:
        """Whether the body that was announced is to be sent: not when an answer comes before.

        An upstream that says nothing for `patience` seconds gets it, for many know no such question.
        """
        if self._answer is not None or self._failure is not None:
            return False
        waiting: asyncio.Future[bool] = self.loop.create_future()
        self._continued = waiting
        try:
            async with asyncio.timeout(patience):
                return await waiting
        except TimeoutError:
            return True
        finally:
            self._continued = None

    # Answers

    async def answer(self) -> UpstreamAnswer:
        """The head of the answer; raises UpstreamLostError, UnsoundAnswerError."""
        while self._answer is None:
            await self._more()
        return self._answer

    async def part(self) -> tuple[bytes, bool]:
        """What has come of the body, and whether more follows; raises UpstreamLostError, UnsoundAnswerError."""
        answer = self._answer
        assert answer is not None  # its head was taken before
        inbox, body = self._inbox, answer.body
        while True:
            try:
                part = body.take(inbox)
            except UnsoundError as error:
                self.close()
                raise UnsoundAnswerError(error.detail) from None
            if body.done:
                return part, False
            if part or body.behind:
                self._read_on()
                return part, True
            await self._more()

    async def received(self) -> bytes:
        """What has come behind a switch of protocols; raises UpstreamLostError."""
        while not self._inbox:
            await self._more()
        data = bytes(self._inbox)
        self._inbox.clear()
        self._read_on()
        return data

    def finish_quickly(self) -> None:
        """The whole answer was taken as it came, and the connection stays."""
        self._method = ""

    def finish(self) -> None:
        """All of the answer was taken: be ready for the next request, or close."""
        answer, self._answer, self._method = self._answer, None, ""
        if answer is None or not answer.stays or self._inbox:  # bytes behind an answer belong to no request
            self.close()

    def give_up(self) -> None:
        """Cut it, and tell nobody."""
        self._quick = None
        self.close()

    def close(self) -> None:
        """Cut it: the upstream learns by that that nobody wants its answer any more."""
        self._fail(UpstreamLostError("it was given up"))
        self.transport.abort()

    def end(self) -> None:
        """Close it once what was written is out, or not taken for a while."""
        self._fail(UpstreamLostError("it was ended"))
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(UNTAKEN, self.transport.abort)

    async def _more(self) -> None:
        """Wait for what comes next."""
        if self._failure is not None:
            raise self._failure
        self._read_on()
        news = self._news = self.loop.create_future()
        try:
            await news
        finally:
            self._news = None
        # What has come is looked at before an end that has come, too.

    def _read_on(self) -> None:
        if self._is_held and len(self._inbox) < WINDOW and not self.transport.is_closing():
            self._is_held = False
            self.transport.resume_reading()

    # The transport's side

    def data_received(self, data: bytes) -> None:
        if not self._method:  # nothing was asked: it says farewell, or talks nonsense
            self.close()
            return
        quick, self._quick = self._quick, None
        if quick is not None and quick.answered(data):
            return
        self._inbox += data
        if self._answer is None:
            self._find_head()
        if len(self._inbox) >= WINDOW and not self._is_held and not self.transport.is_closing():
            self._is_held = True
            self.transport.pause_reading()
        self._wake()
        if quick is not None:
            quick.hand_over()

    def _find_head(self) -> None:
        """Cut the head of the answer out; what is said before it is no answer (RFC 9110, 15.2)."""
        inbox = self._inbox
        while self._answer is None:
            end = inbox.find(END_OF_HEAD)
            if end > MOST_OF_HEAD or (end < 0 and len(inbox) > MOST_OF_HEAD):
                self._break(f"the head of an answer may have {MOST_OF_HEAD} bytes")
                return
            if end < 0:
                return
            data = bytes(memoryview(inbox)[: end + 4])
            del inbox[: end + 4]
            try:
                found = read_answer(data, self._method)
            except UnsoundAnswerError as error:
                self._break(str(error))
                return
            if found.status >= 200 or (found.status == SWITCHING and self._upgrades):
                self._answer = found
                self._invite(wanted=False)
            elif found.status == CONTINUE:
                self._invite(wanted=True)
            elif found.status == SWITCHING:
                self._break("it switches to a protocol that nobody asked for")
                return

    def _break(self, reason: str) -> None:
        self._fail(UpstreamLostError(reason, touched=True))
        self.transport.abort()

    def _invite(self, *, wanted: bool) -> None:
        if self._continued is not None and not self._continued.done():
            self._continued.set_result(wanted)

    def eof_received(self) -> bool:
        answer = self._answer
        if answer is not None and isinstance(answer.body, UntilEnd):
            answer.body.done, answer.stays = True, False
            self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        touched = self._answer is not None or bool(self._inbox)
        reason = "the connection was closed" if exc is None else f"the connection broke ({exc})"
        self._fail(UpstreamLostError(f"{reason} before the answer was complete", touched=touched))

    def _fail(self, failure: UpstreamLostError) -> None:
        if self._failure is None:
            self._failure = failure
        self._invite(wanted=False)
        self._wake()
        quick, self._quick = self._quick, None
        if quick is not None:
            quick.hand_over()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


async def connect(address: Address) -> UpstreamConnection:
    """Open a connection; raises OSError."""
    loop = asyncio.get_running_loop()
    if address.path:
        _, made = await loop.create_unix_connection(lambda: UpstreamConnection(loop), address.path)
    else:
        _, made = await loop.create_connection(lambda: UpstreamConnection(loop), address.host, address.port)
    return made
