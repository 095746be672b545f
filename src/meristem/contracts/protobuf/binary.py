"""Binary protobuf of contracts: from bytes to the values of an operation and back.

It needs the extra: `pip install meristem[protobuf]`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from meristem.contracts.codec import fault_payload
from meristem.contracts.counting import TEXT, WireForm, fields_in, too_many
from meristem.contracts.protobuf.proto_descriptors import MALFORMED, FieldType, class_of, file_set, pool_of
from meristem.contracts.protobuf.shapes import ProtoSchema, reply_struct
from meristem.contracts.protobuf.value_reader import reader
from meristem.contracts.protobuf.value_writer import writer
from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation
    from meristem.errors import Fault


class ProtoCodec:
    """Reads and writes requests and replies of the operations of one contract as binary protobuf.

    A server reads requests and writes replies, a client the other two. What reads and writes a type is generated when
    it is first used.
    """

    def __init__(self, known: Iterable[Operation]) -> None:
        self._schema = ProtoSchema(known)
        self._pool = pool_of(self._schema)
        self._requests: dict[str, _Form] = {}
        self._replies: dict[str, _Form] = {}

    def message_class(self, name: str) -> Any:
        """The protobuf class of a message of the contract's package."""
        return class_of(self._pool, self._schema.home.full(name))

    def descriptors(self) -> bytes:
        """The contract as a serialized FileDescriptorSet, for reflection and for clients that read it at run time."""
        return file_set(self._schema.operations)

    def request_class(self, operation: Operation) -> Any:
        """The protobuf class of an operation's request."""
        return self._request(operation).message_class

    def reply_class(self, operation: Operation) -> Any:
        """The protobuf class of an operation's reply."""
        return self._reply(operation).message_class

    def read_request(self, operation: Operation, body: bytes, values: int) -> Any:
        """The request message; raises CallError `invalid_argument`, `resource_exhausted` for more than `values`."""
        form = self._request(operation)
        # No value takes less than a byte: a body of no more bytes than that is not counted.
        if len(body) > values and fields_in(body, form.wire, values) > values:
            raise too_many(values)
        return form.decode(body)

    def write_request(self, operation: Operation, request: Any) -> bytes:
        """The request message as binary protobuf; raises TypeError or ValueError for what cannot be written."""
        return self._request(operation).encode(request)

    def read_reply(self, operation: Operation, body: bytes) -> Any:
        """The reply; raises CallError `invalid_argument` for what is none."""
        return self._reply(operation).decode(body)

    def write_reply(self, operation: Operation, reply: Any) -> bytes:
        """The reply as binary protobuf; raises TypeError or ValueError for what cannot be written."""
        return self._reply(operation).encode(reply)

    def _request(self, operation: Operation) -> _Form:
        form = self._requests.get(operation.path)
        if form is None:
            form = self._requests[operation.path] = _Form(self._schema, self._pool, operation.request)
        return form

    def _reply(self, operation: Operation) -> _Form:
        form = self._replies.get(operation.path)
        if form is None:
            form = self._replies[operation.path] = _reply_form(operation, self._schema, self._pool)
        return form


class _Form:
    """A message type in both shapes, and the way from one to the other.

    `decode` raises CallError `invalid_argument`; `encode` raises TypeError or ValueError.
    """

    def __init__(self, schema: ProtoSchema, pool: Any, type_: Any) -> None:
        message_class = class_of(pool, schema.shape(type_).type)
        parse, read, write = message_class.FromString, reader(schema, type_), writer(schema, type_)

        def decode(body: bytes) -> Any:
            try:
                parsed = parse(body)
            except MALFORMED as error:
                text = f"the body is no {message_class.DESCRIPTOR.full_name}: {error}"
                raise CallError(Code.INVALID_ARGUMENT, text, may_have_happened=False) from None
            return read(parsed)

        def encode(value: Any) -> bytes:
            filled = message_class()
            write(value, filled)
            return filled.SerializeToString()  # type: ignore[no-any-return]

        self.message_class = message_class
        self.decode: Callable[[bytes], Any] = decode
        self.encode: Callable[[Any], bytes] = encode

    @cached_property
    def wire(self) -> WireForm:
        """How the message stands in bytes, for who counts what is in it."""
        return _wire_form(self.message_class.DESCRIPTOR, {})


def _reply_form(operation: Operation, schema: ProtoSchema, pool: Any) -> _Form:
    """The form of a reply, which stands in a field where it is no message."""
    around = reply_struct(operation)
    form = _Form(schema, pool, around)
    decode, encode = form.decode, form.encode
    if operation.reply in (None, type(None)):
        form.decode, form.encode = lambda body: decode(body) and None, lambda _: b""
    elif around is not operation.reply:
        form.decode, form.encode = lambda body: decode(body).result, lambda reply: encode(around(result=reply))
    return form


def _wire_form(descriptor: Any, known: dict[str, WireForm]) -> WireForm:
    form = known.get(descriptor.full_name)
    if form is None:
        form = known[descriptor.full_name] = {}
        for each in descriptor.fields:
            if each.message_type is not None:
                form[each.number] = _wire_form(each.message_type, known)
            elif each.is_packed:
                form[each.number] = WIDTHS.get(each.type, 1)
            elif each.type == FieldType.TYPE_STRING:
                form[each.number] = TEXT
    return form


WIDTHS = {
    **dict.fromkeys((FieldType.TYPE_DOUBLE, FieldType.TYPE_FIXED64, FieldType.TYPE_SFIXED64), 8),
    **dict.fromkeys((FieldType.TYPE_FLOAT, FieldType.TYPE_FIXED32, FieldType.TYPE_SFIXED32), 4),
}
"""The bytes of a number in a packed list, where it is no varint."""


def fault_bytes(fault: Fault, package: str) -> bytes:
    """A fault's fields as the binary protobuf message of its name."""
    kind: Any = type(fault)
    return _fault(kind, package).encode(fault_payload(kind)(**fault.values()))


def read_fault(kind: type[Fault], package: str, body: bytes) -> Fault:
    """Make a fault again from the binary protobuf message of its name; raises CallError for what is none."""
    faulty: Any = kind
    payload = _fault(faulty, package).decode(body)
    return kind.build({name: getattr(payload, name) for name in kind.fields})


@cache
def _fault(kind: Any, package: str) -> _Form:
    schema = ProtoSchema((), package, kind.__module__)
    payload = fault_payload(kind)
    schema.shape(payload)
    return _Form(schema, pool_of(schema), payload)
