"""Unary calls in the Connect protocol: one codec for Meristem's own client, one for all others."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from meristem.contracts.call import Call
from meristem.contracts.codec import decoder, encoder, refusal
from meristem.contracts.counting import bound_values
from meristem.contracts.depth import DEEPEST_VALUE
from meristem.contracts.protojson import lenient
from meristem.contracts.wiretypes import struct_of
from meristem.errors import CallError, Code
from meristem.head_fields import AUTHORIZATION, BAGGAGE, POSITIONS, TRACE, TRACE_STATE
from meristem.position_fields import grown, told
from meristem.transports.authorize import bearer_of
from meristem.transports.http.compression import PACKED, PackedReply, is_packed, packed, unpacked
from meristem.transports.http.connect.errors import failed
from meristem.transports.http.connect.ownhead import OWN_AGENT
from meristem.transports.http.media import media_of
from meristem.transports.http.responses import JSON, Response
from meristem.transports.metadata import KEY, TOKEN, context_from, context_of
from meristem.transports.unary import LIGHT, Codec, Signed

if TYPE_CHECKING:
    from meristem.context import Context, Identity
    from meristem.contracts.call import Handler, ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.contracts.protobuf.json_replies import ProtoReplies
    from meristem.errors import Fault
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Principal
    from meristem.transports.http.connect.ownhead import Changing
    from meristem.transports.metadata import Metadata

RequestT_contra = TypeVar("RequestT_contra", bound=Signed, contravariant=True)
PROTO: Final = b"application/proto"
TIMEOUT: Final = b"connect-timeout-ms"
VERSION: Final = b"connect-protocol-version"
LIGHT_BINARY: Final = 16 * 1024  # Python makes values of protobuf one by one: half a millisecond for so much
CODINGS: Final = frozenset((b"content-encoding", b"connect-content-encoding"))


class Binary(Protocol):
    """Reads and writes binary protobuf."""

    def read_request(self, operation: Operation, body: bytes, values: int) -> Any: ...

    def write_reply(self, operation: Operation, reply: Any) -> bytes: ...


class MessageCodec(Codec[RequestT_contra, Response | PackedReply], Protocol[RequestT_contra]):
    """A codec that reads and writes messages without what stands around a unary call, as streams need it."""

    def message(self, request: RequestT_contra, reply: Any) -> bytes: ...

    def context(self, request: RequestT_contra, principal: Principal | None, user: Identity | None) -> Context:
        """What surrounds the call."""
        ...

    def item(self, request: RequestT_contra, body: bytes) -> Any:
        """One item of a request that is a stream; raises CallError `invalid_argument`."""
        ...


class ConnectRequest(msgspec.Struct, gc=False):
    """A request whose head was parsed, and its message."""

    head: Metadata
    body: bytes
    token: str | None
    bearer: str | None
    media: bytes
    heavy: bool
    wrong: CallError | None = None
    user: Identity | None = None
    context: Context | None = None

    @staticmethod
    def of(head: Metadata, body: bytes, wrong: CallError | None = None, user: Identity | None = None) -> ConnectRequest:
        """The request with the proofs that its head holds; `wrong` is why its message can't be had."""
        token, bearer, media = _text(head.get(TOKEN)), bearer_of(head.get(AUTHORIZATION)), media_of(head)
        light = LIGHT_BINARY if media.endswith(b"proto") else LIGHT
        # Whatever is compressed counts as heavy: what it becomes is known only when it has been unpacked.
        heavy = len(body) > light or not head.keys().isdisjoint(CODINGS)
        return ConnectRequest(head, body, token, bearer, media, heavy, wrong, user)


class OwnRequest(msgspec.Struct, gc=False):
    """A request of Meristem's own client: what changes from call to call, as it was sent, and the message."""

    token: str | None
    changing: Changing
    body: bytes
    bearer: str | None = None
    heavy: bool = False
    user: Identity | None = None
    context: Context | None = None

    @property
    def follows(self) -> bool:
        """Whether the client knows what positions are."""
        return self.changing[5] is not None

    @staticmethod
    def of(head: Metadata, body: bytes, user: Identity | None = None) -> OwnRequest:
        """The request whose head the parser has read."""
        read = head.get
        changing = (read(TIMEOUT), read(TRACE), read(TRACE_STATE), read(BAGGAGE), read(KEY), read(POSITIONS), b"")
        bearer = bearer_of(read(AUTHORIZATION))
        return OwnRequest(_text(read(TOKEN)), changing, body, bearer, len(body) > LIGHT, user)


class OwnCodec:
    """An operation for Meristem's own client, whose JSON is exact."""

    __slots__ = ("_exact", "_values", "handler", "operation", "write")

    def __init__(self, endpoint: ServedOperation, values: int) -> None:
        self.operation: Operation = endpoint.operation
        self.handler: Handler = endpoint.handler
        self.write = reply_writer(endpoint.operation.reply)
        self._exact = decoder(endpoint.operation.request)
        self._values = values

    def read(self, request: OwnRequest, principal: Principal | None, user: Identity | None) -> Call:
        """The call; raises CallError `invalid_argument` that names the field."""
        timeout, trace, state, baggage, key, positions, _ = request.changing
        deadline = None if timeout is None else monotonic() + int(timeout) / 1000  # digits: see `Route`
        context = request.context = context_of(principal, user, deadline, trace, state, baggage, key, positions)
        if request.heavy:
            bound_values(request.body, self._values)
        try:
            return Call(self.operation, self._exact(request.body), context)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error) from None

    def reply(self, request: OwnRequest, reply: Any) -> Response:
        text = grown(request.context)
        return Response(200, JSON, self.write(reply), () if text is None else [(POSITIONS, text)])

    def message(self, _request: OwnRequest, reply: Any) -> bytes:
        """One reply of a stream."""
        return self.write(reply)

    def context(self, request: OwnRequest, principal: Principal | None, user: Identity | None) -> Context:
        """What surrounds the call."""
        timeout, trace, state, baggage, key, positions, _ = request.changing
        deadline = None if timeout is None else monotonic() + int(timeout) / 1000
        return context_of(principal, user, deadline, trace, state, baggage, key, positions)

    def item(self, _request: OwnRequest, body: bytes) -> Any:
        """One item of a request that is a stream."""
        if len(body) > LIGHT:
            bound_values(body, self._values)
        try:
            return self._exact(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error) from None

    def failure(self, request: OwnRequest, error: Fault | CallError) -> Response:
        response, text = failed(self.operation, error, own=True), grown(request.context)
        if text is not None:
            response.fields = [*response.fields, (POSITIONS, text)]
        return response


class ConnectCodec:
    """An operation for every other client of the Connect protocol, in JSON or, where that is installed, protobuf.

    Requests are read by the ProtoJSON mapping. A client that names the version of the protocol is a generated one,
    so replies to it follow that mapping, too.
    """

    __slots__ = ("_binary", "_lenient", "_limits", "_mapped", "_replies", "_write", "handler", "operation")

    def __init__(
        self,
        endpoint: ServedOperation,
        limits: Limits,
        binary: Callable[[], Binary] | None,
    ) -> None:
        self.operation: Operation = endpoint.operation
        self.handler: Handler = endpoint.handler
        self._limits = limits
        self._replies: ProtoReplies | None = None
        self._binary = binary
        self._write = reply_writer(endpoint.operation.reply)
        self._lenient = lenient(endpoint.operation.request)
        self._mapped = lenient(endpoint.operation.request, zeros=True)

    @property
    def speaks_proto(self) -> bool:
        """Whether binary protobuf can be read and written."""
        return self._binary is not None

    def read(self, request: ConnectRequest, principal: Principal | None, user: Identity | None) -> Call:
        """The call; raises CallError `invalid_argument` that names the field."""
        context = self.context(request, principal, user)
        if request.wrong is not None:
            raise request.wrong
        coding = request.head.get(b"content-encoding", b"identity").lower()
        plain = unpacked(coding, request.body, self._limits.body_bytes)
        return Call(self.operation, self.item(request, plain), context)

    def context(self, request: ConnectRequest, principal: Principal | None, user: Identity | None) -> Context:
        """What surrounds the call."""
        request.context = context_from(request.head, principal, user, deadline_of(request.head.get(TIMEOUT)))
        return request.context

    def item(self, request: ConnectRequest, body: bytes) -> Any:
        """The message of a request, or one item of one that is a stream."""
        if (binary := self._binary_for(request)) is not None:
            return binary.read_request(self.operation, body, self._limits.body_values)
        bound_values(body, self._limits.body_values)
        read = self._mapped if VERSION in request.head else self._lenient
        return read(body)

    def reply(self, request: ConnectRequest, reply: Any) -> Response | PackedReply:
        """The reply in the encoding that the request came in."""
        out = self.message(request, reply)
        media = JSON if self._binary_for(request) is None else PROTO
        fields = told(request.context)
        if not is_packed(request.head, out):
            return Response(200, media, out, [*fields] if fields else ())
        if len(out) > LIGHT:
            return PackedReply(media, out, fields)
        return Response(200, media, packed(out), [*PACKED, *fields] if fields else PACKED)

    def message(self, request: ConnectRequest, reply: Any) -> bytes:
        """The bytes of a reply, which is one of several in a stream."""
        if (binary := self._binary_for(request)) is not None:
            return binary.write_reply(self.operation, reply)
        out = self._write(reply)
        return self._proto_json(out) if VERSION in request.head else out

    def _proto_json(self, reply: bytes) -> bytes:
        if self._replies is None:
            # Most processes never meet such a client, so its mapping is neither loaded nor made before.
            from meristem.contracts.protobuf.json_replies import ProtoReplies  # noqa: PLC0415

            self._replies = ProtoReplies(self.operation)
        return self._replies.json(reply)

    def failure(self, request: ConnectRequest, error: Fault | CallError) -> Response:
        response, fields = failed(self.operation, error, own=False), told(request.context)
        if fields:
            response.fields = [*response.fields, *fields]
        return response

    def _binary_for(self, request: ConnectRequest) -> Binary | None:
        if self._binary is None or not request.media.endswith(b"proto"):
            return None
        return self._binary()


def is_own(head: Metadata) -> bool:
    """Whether a request is of Meristem's own client."""
    return head.get(b"user-agent") == OWN_AGENT


def is_message(type_: Any) -> bool:
    """Whether a value of the type is a JSON object by itself; anything else travels as `{"result": …}`."""
    return struct_of(type_) is not None


def reply_writer(type_: Any) -> Callable[[Any], bytes]:
    """A function that writes replies of the type."""
    encode = encoder(type_)
    if is_message(type_):
        return encode
    if type_ is None or type_ is type(None):
        return lambda _reply: b"{}"
    return lambda reply: b'{"result":' + encode(reply) + b"}"


def reply_reader(type_: Any) -> Callable[[bytes], Any]:
    """A function that reads replies of the type; raises msgspec.DecodeError."""
    if is_message(type_):
        return decoder(type_)
    if type_ is None or type_ is type(None):
        return lambda _body: None
    wrapped = decoder(msgspec.defstruct("Reply", [("result", type_)]), deepest=DEEPEST_VALUE + 1)
    return lambda body: wrapped(body).result


def deadline_of(timeout: bytes | None) -> float | None:
    """The end of a timeout in milliseconds on the clock of `time.monotonic`; raises CallError for a malformed one."""
    if timeout is None:
        return None
    if not is_timeout(timeout):
        message = f"connect-timeout-ms must be up to 10 digits, not {timeout.decode('latin-1')!r}"
        raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
    return monotonic() + int(timeout) / 1000


def is_timeout(timeout: bytes) -> bool:
    """Whether a timeout has the form that the protocol wants: up to ten digits, milliseconds."""
    return timeout.isdigit() and len(timeout) <= 10


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
