"""The client: sends calls to one address, each over a kept-alive connection of its own or over one that many share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from meristem.contracts.codec import UNENCODABLE, encoder, refusal, unencodable
from meristem.errors import CallError, Code
from meristem.head_fields import POSITIONS
from meristem.resilience.limits import ClientLimits
from meristem.transports.calls_in_flight import CallsInFlight
from meristem.transports.http.address import Address
from meristem.transports.http.client.connection import LargeReplyError, LostError, RawResponse
from meristem.transports.http.client.pool import Pool
from meristem.transports.http.client.replies import EndOfStream, Replies
from meristem.transports.http.client.sender import HttpItemSender
from meristem.transports.http.client.tls import context_of
from meristem.transports.http.connect.codec import reply_reader
from meristem.transports.http.connect.errors import read_error, read_unary_error
from meristem.transports.http.connect.framing import envelope
from meristem.transports.http.connect.ownhead import RequestForm, own_lines
from meristem.transports.item_sending import exchange, only_reply

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable, Mapping

    from meristem.context import Context
    from meristem.contracts.call import Call
    from meristem.contracts.operation import Operation
    from meristem.transports.endpoint import Sign


class Form(NamedTuple):
    """How calls of one operation are written, and their replies read."""

    label: str
    request: Callable[[Context, bytes], bytes]
    opening: Callable[[Context], bytes]
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


class HttpClient(CallsInFlight):
    """Calls operations at `address`; `call` is a Handler.

    `sign` makes the token that proves who calls; `headers` go out with each request. A call that is cancelled is
    cancelled at the server, too.
    """

    def __init__(
        self,
        address: str,
        *,
        sign: Sign | None = None,
        limits: ClientLimits | None = None,
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.address = Address.parse(address)
        self._limits = limits or ClientLimits()
        self._sign = sign
        self._lines = own_lines(headers or {})
        self._pool = Pool(self.address, self._limits, context_of(self.address, tls))
        self._idle = self._pool.idle
        self._forms: dict[Operation, Form] = {}

    async def start(self) -> None:
        """Connections are opened by the calls that need them."""

    async def stop(self) -> None:
        """Close every connection; calls in flight fail as unavailable."""
        self._pool.close()

    async def call(self, call: Call) -> Any:
        """Send the call; the reply, or an async iterator of replies for a stream. Raises its faults and CallError."""
        operation = call.operation
        form = self._forms.get(operation) or self._form(operation)
        if operation.lasts:
            replies = self._lasting(call, form)
            return replies if operation.stream else await only_reply(replies, form.label, self.address)
        request = form.request(call.context, _encoded(call, form))
        self.in_flight += 1
        try:
            channel, answer = self._pool.channel, None
            if channel is not None and channel.has_room(request):
                answer = await channel.call(request)
            if answer is None:
                answer = await self._alone(request, form)
            if type(answer) is not bytes:
                answer = _heard(call.context, answer)
        except LostError as error:
            raise self._failure(form, error) from None
        finally:
            self.in_flight -= 1
            if self.quiet is not None:
                self.calm()
        return self._reply(operation, form, answer)

    async def _alone(self, request: bytes, form: Form) -> bytes | RawResponse:
        idle = self._idle
        if not idle or (connection := idle.pop()).spent or connection.transport.is_closing():
            connection = await self._pool.take(form.label)
        try:
            answer = await connection.send(request)
        except BaseException:
            # Whatever happened: the answer may still come, and would be read as that to the next call.
            connection.close()
            raise
        self._pool.give(connection)
        return answer

    def _reply(self, operation: Operation, form: Form, answer: bytes | RawResponse) -> Any:
        if not isinstance(answer, bytes):
            raise read_unary_error(operation, answer.status, answer.body, str(self.address))
        try:
            return form.read(answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = f"{form.label}: the reply of {self.address} does not fit its contract: {refusal(error).message}"
            raise CallError(Code.INTERNAL, message) from None

    def _lasting(self, call: Call, form: Form) -> AsyncGenerator[Any, None]:
        if not call.operation.takes_stream:
            return self._stream(call, form)
        sender = HttpItemSender(call.request, form.write)
        return exchange(self._stream(call, form, sender), sender)

    async def _stream(self, call: Call, form: Form, sender: HttpItemSender | None = None) -> AsyncGenerator[Any, None]:
        request = form.request(call.context, envelope(_encoded(call, form))) if sender is None else b""
        self.in_flight += 1
        connection = None
        try:
            connection = await self._pool.take(form.label, fresh=sender is not None)
            replies = Replies(connection, window=self._limits.stream_window, limit=self._limits.reply_bytes)
            waiter = connection.send(request or form.opening(call.context), replies)
            if sender is not None:
                sender.start(connection, form.label)
            answer = await waiter
            if not isinstance(answer, bytes):
                raise read_unary_error(call.operation, answer.status, answer.body, str(self.address))
            while not isinstance(message := await replies.take(), EndOfStream):
                yield self._reply(call.operation, form, message)
            if message.error is not None:
                raise read_error(call.operation, message.error)
        except LostError as error:
            raise self._failure(form, error) from None
        finally:
            if connection is not None and (connection.sink is not None or sender is not None):
                connection.close()  # left early: this tells the server to stop
            elif connection is not None:
                self._pool.give(connection)
            if sender is not None:
                await sender.stop()
            self.in_flight -= 1
            self.calm()

    def _form(self, operation: Operation) -> Form:
        head = RequestForm(operation, self.address, self._sign, self._lines)
        write, read = encoder(operation.request), reply_reader(operation.reply)
        form = self._forms[operation] = Form(operation.label, head.request, head.opening, write, read)
        return form

    def _failure(self, form: Form, lost: LostError) -> CallError:
        message = f"{form.label} at {self.address}: {lost}"
        code = Code.INTERNAL if isinstance(lost, LargeReplyError) else Code.UNAVAILABLE
        error = CallError(code, message, may_have_happened=lost.happened)
        error.lost = lost.broken
        return error


def _heard(context: Context, answer: bytes | RawResponse) -> bytes | RawResponse:
    """The answer, of which the caller has learnt what was written for it."""
    if not isinstance(answer, RawResponse):
        return answer
    told = answer.head.get(POSITIONS)
    if told is not None and context.positions is not None:
        context.positions.learn(told.decode("latin-1"))
    return answer.body if answer.status == 200 else answer


def _encoded(call: Call, form: Form) -> bytes:
    try:
        return form.write(call.request)
    except UNENCODABLE as error:
        raise unencodable(error) from None
