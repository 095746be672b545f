"""One operation in gRPC: what the one answerer reads of a call, and what it gives back."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.contracts.call import Call
from meristem.contracts.items import IncomingItems, broken_off
from meristem.errors import CallError, Code
from meristem.head_fields import AUTHORIZATION, BAGGAGE, POSITIONS, TRACE, TRACE_STATE, add_field
from meristem.position_fields import grown
from meristem.transports.authorize import bearer_of
from meristem.transports.grpc.item_sender import BROKEN_OFF, UNFIT
from meristem.transports.grpc.items_source import ItemsSource
from meristem.transports.grpc.library import aio
from meristem.transports.grpc.status import FailedStatus, read_refusal, status_of
from meristem.transports.metadata import KEY, SINGLE, TOKEN, context_from
from meristem.transports.unary import READER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.context import Context, Identity
    from meristem.contracts.call import Handler, ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.contracts.protobuf.binary import ProtoCodec
    from meristem.errors import Fault
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Principal
    from meristem.transports.metadata import Metadata

LIGHT: Final = 16 * 1024
"""A message up to this size is read at once: Python makes values of protobuf one by one."""

SOON: Final = 0.01  # seconds
AGENT: Final = "user-agent"
OWN_AGENT: Final = "meristem/1"
TIMEOUT: Final = "meristem-timeout-ms"
"""The time that is left, as our client says it: the standard's field is rounded up, from 10 seconds on by a tenth."""
READ: Final = {each.decode(): each for each in (AUTHORIZATION, BAGGAGE, KEY, POSITIONS, TOKEN, TRACE, TRACE_STATE)}


class GrpcRequest(msgspec.Struct, gc=False):
    """A call as it arrived; `remaining` are the seconds until its deadline, `own` says that our client sent it.

    One that is a stream has no `body`: its items are read from `source`.
    """

    metadata: Metadata
    body: bytes
    remaining: float | None
    proof: str | None
    bearer: str | None
    heavy: bool
    own: bool
    source: ItemsSource | None = None
    user: Identity | None = None
    wrong: str = ""
    context: Context | None = None

    @property
    def token(self) -> str | None:
        """The token of a service of the system; raises the CallError of metadata that no call may have."""
        if self.wrong:
            raise CallError(Code.INVALID_ARGUMENT, self.wrong, may_have_happened=False)
        return self.proof

    @staticmethod
    def of(
        fields: Sequence[tuple[str, Any]],
        body: bytes,
        remaining: float | None,
        limits: Limits,
        source: ItemsSource | None = None,
    ) -> GrpcRequest:
        """The call with what counts of its metadata; fields whose names end with `-bin`, the only bytes, don't."""
        # grpcio bounds what is in one frame of HTTP/2, and a client may send any number of them.
        if len(fields) > limits.head_fields:
            return _refused(body, f"a call may have {limits.head_fields} fields of metadata")
        metadata: dict[bytes, bytes] = {}
        own = False
        for name, value in fields:
            if (known := READ.get(name)) is not None:
                if known in metadata and known in SINGLE:
                    return _refused(body, f"{name} is given more than once")
                if len(value) > limits.head_bytes:
                    return _refused(body, f"{name} has more than {limits.head_bytes} bytes")
                add_field(metadata, known, value.encode())  # what is no ASCII is as unsound as its bytes were
            elif name == AGENT:
                own = value.startswith(OWN_AGENT)
            elif name == TIMEOUT and remaining is not None and value.isdecimal() and len(value) <= 10:
                remaining = min(remaining, int(value) / 1000)
        token = metadata.get(TOKEN)
        return GrpcRequest(
            metadata,
            body,
            remaining,
            None if token is None else token.decode("latin-1"),
            bearer_of(metadata.get(AUTHORIZATION)),
            len(body) > LIGHT,
            own,
            source,
        )


def _refused(body: bytes, why: str) -> GrpcRequest:
    return GrpcRequest(
        {}, body, None, None, None, heavy=False, own=False, wrong=f"{why}; nothing else of the call was read"
    )


class ReceivedItems(IncomingItems):
    """The items of a request that is a stream: each is read when the callee asks for it."""

    def __init__(self, method: GrpcMethod, source: ItemsSource) -> None:
        super().__init__()
        self._method = method
        self._source = source

    async def read(self) -> Any:
        body = await self._source.read()
        if body is aio.EOF:
            await self._check_whole()
            raise StopAsyncIteration
        if body == BROKEN_OFF:
            raise broken_off(self._method.operation.label)
        if body.startswith(UNFIT):
            raise read_refusal(self._method.operation, body.removeprefix(UNFIT))
        if len(body) > LIGHT:
            return await asyncio.get_running_loop().run_in_executor(READER, self._method.item, body)
        return self._method.item(body)

    async def _check_whole(self) -> None:
        """Tell the end of the items from that of the call: grpcio says the same of both, of the latter too early.

        What is sent to a client that has gone fails. Where nothing can be sent without harm, the cancellation of the
        handler is given the time to come.
        """
        try:
            await self._source.send_headers()
        except aio.UsageError:
            await asyncio.sleep(SOON)
        except aio.InternalError:
            raise broken_off(self._method.operation.label) from None


class GrpcMethod:
    """The codec of an operation; a unary one is answered by bytes, a stream by its items, a failure by its status."""

    __slots__ = ("_binary", "handler", "limits", "operation")

    def __init__(self, endpoint: ServedOperation, binary: ProtoCodec, limits: Limits) -> None:
        self.operation: Operation = endpoint.operation.by_rpc()
        self.handler: Handler = endpoint.handler
        self._binary = binary
        self.limits = limits

    def read(self, request: GrpcRequest, principal: Principal | None, user: Identity | None) -> Call:
        """The call; raises CallError `invalid_argument` that names the field."""
        remaining = request.remaining
        deadline = None if remaining is None else monotonic() + remaining
        context = request.context = context_from(request.metadata, principal, user, deadline)
        if request.source is not None:
            return Call(self.operation, ReceivedItems(self, request.source), context)
        return Call(self.operation, self.item(request.body), context)

    def item(self, body: bytes) -> Any:
        """The message of a request, or one item of one that is a stream."""
        return self._binary.read_request(self.operation, body, self.limits.body_values)

    def reply(self, _request: GrpcRequest, reply: Any) -> Any:
        """The bytes of a reply, or the items of a stream as they are: those are written one by one (`write`)."""
        return reply if self.operation.stream else self._binary.write_reply(self.operation, reply)

    def write(self, item: Any) -> bytes:
        """The bytes of an item of a stream."""
        return self._binary.write_reply(self.operation, item)

    def failure(self, request: GrpcRequest, error: Fault | CallError) -> FailedStatus:
        status, text = status_of(self.operation, error, own=request.own), grown(request.context)
        if text is None:
            return status
        return status._replace(trailing=(*status.trailing, (POSITIONS.decode(), text.decode())))
