"""The gRPC client: sends calls to one address, all over one connection."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meristem.contracts.codec import UNENCODABLE, unencodable
from meristem.contracts.isolation import isolator
from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.errors import CallError, Code, ConfigurationError
from meristem.resilience.limits import ClientLimits
from meristem.transports.calls_in_flight import CallsInFlight
from meristem.transports.errors import unserved
from meristem.transports.grpc.address import FORMS, GrpcAddress
from meristem.transports.grpc.grpc_channel import CARRIED, Fields, opened, own_fields
from meristem.transports.grpc.item_sender import GrpcItemSender
from meristem.transports.grpc.library import ProtobufError, aio, grpc
from meristem.transports.grpc.methods import TIMEOUT
from meristem.transports.grpc.status import CODE_OF, read_status
from meristem.transports.item_sending import exchange, only_reply
from meristem.transports.metadata import TOKEN, carried, too_late

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable, Mapping

    from meristem.context import Context
    from meristem.contracts.call import Call
    from meristem.contracts.operation import Operation
    from meristem.log_positions import Positions
    from meristem.transports.endpoint import Sign

READY: Final = grpc.ChannelConnectivity.READY
FAILING: Final = grpc.ChannelConnectivity.TRANSIENT_FAILURE
LATER: Final = 0.1  # seconds
LOOK: Final = 0.05  # seconds between two looks whether a server that is to come back is there
UNCONNECTED: Final = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "DNS resolution fail",
)
"""How grpcio begins to say that a call found no connection, and so never left."""

TOO_LARGE: Final = {
    "SERVER: Received message larger than max": Code.INVALID_ARGUMENT,
    "CLIENT: Received message larger than max": Code.INTERNAL,
}
"""How grpcio says that a request, or a reply, is too large: by `RESOURCE_EXHAUSTED`, which asks for another attempt."""


class GrpcForm(NamedTuple):
    """How calls of one operation are checked, written and sent, and their replies read."""

    write: Callable[[Any], bytes]
    codec: ProtoCodec
    send: Any


class GrpcClient(CallsInFlight):
    """Calls operations at `address`; `call` is a Handler.

    `sign` makes the token that proves who calls; `headers` go out with each call as metadata.
    """

    def __init__(
        self,
        address: str,
        *,
        sign: Sign | None = None,
        limits: ClientLimits | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if tls is not None:
            raise ConfigurationError(f"gRPC takes certificates by files, not a context of TLS: {FORMS}")
        super().__init__()
        self.address = GrpcAddress.parse(address)
        self._limits = limits or ClientLimits()
        self._sign = sign
        self._fields: Fields = own_fields(headers or {})
        self._signed: tuple[str | None, Fields] = (None, self._fields)
        self._forms: dict[Operation, GrpcForm] = {}
        self._channel: Any = None
        self._is_stopped = False

    async def stop(self) -> None:
        """Close the connection; calls in flight fail as unavailable."""
        self._is_stopped = True
        if self._channel is not None:
            await self._channel.close()

    async def call(self, call: Call) -> Any:
        """Send the call; the reply, or an async iterator of replies for a stream. Raises its faults and CallError."""
        operation = call.operation
        form = self._forms.get(operation) or self._form(operation)
        if operation.lasts:
            replies = self._lasting(call, form)
            return replies if operation.stream else await only_reply(replies, operation.label, self.address)
        body = form.write(call.request)
        self.in_flight += 1
        failed = None
        try:
            if self._channel.get_state(True) is not READY:
                await self._connect(operation)
            fields, timeout = self._metadata(operation, call.context)
            sent = form.send(body, timeout=timeout, metadata=fields)
            answer = await sent
            if call.context.positions is not None:
                _heard(call.context.positions, await sent.trailing_metadata())
        except aio.AioRpcError as error:
            failed = error
            if call.context.positions is not None:
                _heard(call.context.positions, error.trailing_metadata())
        except asyncio.CancelledError:
            if not self._was_cut_off():
                raise
        else:
            return self._reply(operation, form, answer)
        finally:
            self._end()
        # Outside of the handlers, so that no error of grpcio's hangs on what the caller is told.
        raise self._failure(operation, failed)

    def _lasting(self, call: Call, form: GrpcForm) -> AsyncGenerator[Any, None]:
        if not call.operation.takes_stream:
            return self._stream(call, form)
        sender = GrpcItemSender(call.request, form.write, call.operation)
        return exchange(self._stream(call, form, sender), sender)

    async def _stream(
        self, call: Call, form: GrpcForm, sender: GrpcItemSender | None = None
    ) -> AsyncGenerator[Any, None]:
        operation = call.operation
        request = () if sender is not None else (form.write(call.request),)
        self.in_flight += 1
        sent = failed = None
        try:
            if self._channel.get_state(True) is not READY:
                await self._connect(operation)
            fields, timeout = self._metadata(operation, call.context)
            sent = form.send(*request, timeout=timeout, metadata=fields)
            if sender is not None:
                sender.start(sent, operation.label)
            async for answer in _answers(operation, sent):
                yield self._reply(operation, form, answer)
        except aio.AioRpcError as error:
            failed = error
        except asyncio.CancelledError:
            if not self._was_cut_off():
                raise
        else:
            return
        finally:
            if sent is not None:
                sent.cancel()  # of one that is done nothing more; of one that is left early it tells the server
            if sender is not None:
                await sender.stop()
            self._end()
        raise self._failure(operation, failed)

    def _reply(self, operation: Operation, form: GrpcForm, answer: bytes) -> Any:
        try:
            return form.codec.read_reply(operation, answer)
        except CallError as error:
            message = f"{operation.label}: the reply of {self.address} does not fit its contract: {error.message}"
            raise CallError(Code.INTERNAL, message) from None

    def _metadata(self, operation: Operation, context: Context) -> tuple[Fields, float | None]:
        """What goes with a call, and for how long grpcio lets it run; raises CallError for one that is too late."""
        fields = self._fields
        if self._sign is not None:
            token = self._sign(context)
            if token != self._signed[0]:
                self._signed = token, (*self._fields, (TOKEN.decode(), token))
            fields = self._signed[1]
        found = tuple(
            (name, value.decode("latin-1"))
            for name, value in zip(CARRIED, carried(operation, context), strict=True)
            if value is not None
        )
        if (deadline := context.deadline) is None:
            return fields + found, None
        left = deadline - monotonic()
        if left <= 0:
            raise too_late(operation, self.address)
        # Later than the deadline: whoever set it watches it, and has words for it.
        return (*fields, *found, (TIMEOUT, str(int(left * 1000)))), left + LATER

    async def _connect(self, operation: Operation) -> None:
        """Wait for the connection, or until it is known that there is none; raises CallError when it takes too long."""
        channel = self._channel
        try:
            while True:
                async with asyncio.timeout(self._limits.connect_seconds):
                    while (state := channel.get_state(True)) is not READY and state is not FAILING:
                        await channel.wait_for_state_change(state)
                # Without a connection the call fails at once, and says why.
                if state is READY or self.address.kept is None or not self.address.kept.exists():
                    return
                await asyncio.sleep(LOOK)
        except TimeoutError:
            raise self._unconnected(operation, f"no connection in {self._limits.connect_seconds:g} s") from None
        except aio.UsageError:
            raise self._unconnected(operation, "the client was stopped") from None

    def _failure(self, operation: Operation, error: Any) -> Exception:
        """What a status means; None is that of a call which was cut off by `stop`."""
        if error is None:
            return self._lost(operation, "the client was stopped")
        status, text = error.code(), error.details() or ""
        told = read_status(operation, status, text, error.trailing_metadata() or ())
        if told is not None:
            return told
        code = next((each for words, each in TOO_LARGE.items() if words in text), CODE_OF[status])
        if status is grpc.StatusCode.UNAVAILABLE and text.startswith(UNCONNECTED):
            return self._unconnected(operation, f"{text}; {self._hint()}")
        if status is grpc.StatusCode.CANCELLED:
            # grpcio's server says so, without details, to calls that reach it after it began to drain: it has them not
            # served (grpc/grpc#24237). Of a server of the system that is known; others may mean anything by it.
            lost = self._lost(operation, "the server drains, or cut the call off")
            lost.may_have_happened = self._sign is None
            return lost
        if status is grpc.StatusCode.UNIMPLEMENTED:
            text = f"{unserved(operation)}, or it ({text})"
        if status is grpc.StatusCode.UNAVAILABLE:
            if self.address.tls:  # of a client's certificate, a server says what it thinks after the handshake
                text = f"{text}; {self._hint()}"
            return self._lost(operation, text)  # it had a connection, and no word of the server came over it
        found = CallError(code, f"{operation.label} at {self.address}: {text}")
        found.answered = True
        return found

    def _hint(self) -> str:
        if self.address.tls:
            return "is the server up, and does each end accept the other's certificate (ca=, certificate=, key=)?"
        return "is the server up, and does it speak gRPC there without TLS? With it, write grpcs://"

    def _lost(self, operation: Operation, why: str) -> CallError:
        error = CallError(Code.UNAVAILABLE, f"{operation.label} at {self.address}: {why}")
        error.lost = True
        return error

    def _unconnected(self, operation: Operation, why: str) -> CallError:
        message = f"{operation.label} at {self.address}: {why}"
        return CallError(Code.UNAVAILABLE, message, may_have_happened=False)

    def _was_cut_off(self) -> bool:
        """Whether it was `stop` that cancelled a call, and not its caller."""
        task = asyncio.current_task()
        return self._is_stopped and task is not None and not task.cancelling()

    def _form(self, operation: Operation) -> GrpcForm:
        if self._is_stopped:
            raise self._unconnected(operation, "the client was stopped")
        if self._channel is None:
            self._channel = opened(self.address, self._limits)
        # One codec for each operation: of a contract, a client calls few.
        codec = ProtoCodec([operation])
        request, reply = ("stream" if each else "unary" for each in (operation.takes_stream, operation.stream))
        send = getattr(self._channel, f"{request}_{reply}")(operation.path)
        form = self._forms[operation] = GrpcForm(_writer(operation, codec), codec, send)
        return form

    def _end(self) -> None:
        self.in_flight -= 1
        self.calm()


def _heard(positions: Positions, trailing: Any) -> None:
    """Learn of an answer what was written for the caller."""
    for name, value in trailing or ():
        if name == CARRIED[-1]:
            positions.learn(value)


async def _answers(operation: Operation, sent: Any) -> AsyncGenerator[bytes, None]:
    if not operation.stream:
        yield await sent
        return
    while (answer := await sent.read()) is not aio.EOF:
        yield answer


def _writer(operation: Operation, codec: ProtoCodec) -> Callable[[Any], bytes]:
    """Writes messages as bytes; raises CallError for one that does not fit its type, or has no protobuf."""
    # Checked before: in protobuf what is missing is empty, and so no server could tell a None from "".
    admit, write = isolator(operation.request), codec.write_request

    def written(message: Any) -> bytes:
        admitted = admit(message)
        try:
            return write(operation, admitted)
        except (*UNENCODABLE, ProtobufError) as error:
            raise unencodable(error) from None

    return written
