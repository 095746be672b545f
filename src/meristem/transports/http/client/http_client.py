"""The client: sends calls to one address over kept-alive connections, each carrying one request at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from meristem.contracts.codec import UNENCODABLE, encoder, unencodable
from meristem.errors import CallError, Code
from meristem.resilience.limits import ClientLimits
from meristem.transports.http.address import Address
from meristem.transports.http.client.connection import LostError, RawResponse
from meristem.transports.http.client.pool import Pool
from meristem.transports.http.client.replies import EndOfStream, Replies
from meristem.transports.http.connect.codec import reply_reader
from meristem.transports.http.connect.errors import read_error, read_unary_error
from meristem.transports.http.connect.framing import envelope
from meristem.transports.http.connect.ownhead import RequestForm, own_lines

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping

    from meristem.context import Context
    from meristem.contracts.call import Call
    from meristem.contracts.operation import Operation
    from meristem.transports.endpoint import Sign


class Form(NamedTuple):
    """How calls of one operation are written, and their replies read."""

    label: str
    request: Callable[[Context, bytes], bytes]
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


class HttpClient:
    """Calls operations at `address`; `call` is a Handler.

    `sign` makes the token that proves who calls; `headers` go out with each request. A call that is cancelled closes
    its connection, which cancels the work at the server.
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
        self.address = Address.parse(address)
        self.in_flight = 0
        self._limits = limits or ClientLimits()
        self._sign = sign
        self._lines = own_lines(headers or {})
        self._pool = Pool(self.address, self._limits, tls)
        self._idle = self._pool.idle
        self._forms: dict[Operation, Form] = {}
        self._quiet: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Connections are opened by the calls that need them."""

    async def drain(self) -> None:
        """Wait until no call is in flight."""
        if self.in_flight:
            self._quiet = self._quiet or asyncio.get_running_loop().create_future()
            # Shielded: all who drain wait for one future.
            await asyncio.shield(self._quiet)

    async def stop(self) -> None:
        """Close every connection; calls in flight fail as unavailable."""
        self._pool.close()

    async def call(self, call: Call) -> Any:
        """Send the call; the reply, or an async iterator of replies for a stream. Raises its faults and CallError."""
        operation = call.operation
        form = self._forms.get(operation) or self._form(operation)
        if operation.stream:
            return self._stream(call, form)
        request = form.request(call.context, _encoded(call, form))
        self.in_flight += 1
        try:
            idle = self._idle
            if not idle or not (connection := idle.pop()).usable:
                connection = await self._pool.take(form.label)
            try:
                answer = await connection.send(request)
            except BaseException as error:
                # Whatever happened: the answer may still come, and would be read as that to the next call.
                connection.close()
                if isinstance(error, LostError):
                    raise self._unavailable(form, error) from None
                raise
            self._pool.give(connection)
        finally:
            self._done()
        return self._reply(operation, form, answer)

    def _reply(self, operation: Operation, form: Form, answer: bytes | RawResponse) -> Any:
        if not isinstance(answer, bytes):
            raise read_unary_error(operation, answer.status, answer.body, str(self.address))
        try:
            return form.read(answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = f"{form.label}: the reply of {self.address} does not fit its contract: {error}"
            raise CallError(Code.INTERNAL, message) from None

    async def _stream(self, call: Call, form: Form) -> AsyncIterator[Any]:
        request = form.request(call.context, envelope(_encoded(call, form)))
        self.in_flight += 1
        connection = None
        try:
            connection = await self._pool.take(form.label)
            replies = Replies(connection, window=self._limits.stream_window, limit=self._limits.reply_bytes)
            answer = await connection.send(request, replies)
            if not isinstance(answer, bytes):
                raise read_unary_error(call.operation, answer.status, answer.body, str(self.address))
            while not isinstance(message := await replies.take(), EndOfStream):
                yield self._reply(call.operation, form, message)
            if message.error is not None:
                raise read_error(call.operation, message.error)
        except LostError as error:
            raise self._unavailable(form, error) from None
        finally:
            if connection is not None and connection.sink is not None:
                connection.close()  # left early: this tells the server to stop
            elif connection is not None:
                self._pool.give(connection)
            self._done()

    def _form(self, operation: Operation) -> Form:
        request = RequestForm(operation, self.address, self._sign, self._lines).request
        form = self._forms[operation] = Form(
            operation.label, request, encoder(operation.request), reply_reader(operation.reply)
        )
        return form

    def _unavailable(self, form: Form, lost: LostError) -> CallError:
        message = f"{form.label} at {self.address}: {lost}"
        error = CallError(Code.UNAVAILABLE, message, may_have_happened=lost.happened)
        error.lost = lost.broken
        return error

    def _done(self) -> None:
        self.in_flight -= 1
        if self._quiet is not None and not self.in_flight:
            self._quiet.set_result(None)
            self._quiet = None


def _encoded(call: Call, form: Form) -> bytes:
    try:
        return form.write(call.request)
    except UNENCODABLE as error:
        raise unencodable(error) from None
