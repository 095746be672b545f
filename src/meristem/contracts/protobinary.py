"""Binary protobuf of contracts, by message classes that are built when the program runs.

It needs the extra: `pip install meristem[protobuf]`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.contracts.codec import encode, encode_fault, fault_payload
from meristem.contracts.counting import WireForm, fields_in, too_many
from meristem.contracts.proto import Field, ProtoMessage, ProtoSchema
from meristem.contracts.protojson import lenient
from meristem.contracts.prototext import IMPORTS, idempotency_level
from meristem.contracts.wiretypes import camel, struct_of
from meristem.errors import CallError, Code, ConfigurationError

try:
    from google.protobuf import (  # type: ignore[import-untyped]
        descriptor_pb2,
        descriptor_pool,
        duration_pb2,
        json_format,
        message,
        timestamp_pb2,
    )
    from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
except ImportError as error:
    raise ConfigurationError("binary protobuf needs an extra: pip install 'meristem[protobuf]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation
    from meristem.contracts.proto import FieldShape
    from meristem.errors import Fault

FieldType: Final = descriptor_pb2.FieldDescriptorProto
TYPES: Final = {
    "bool": FieldType.TYPE_BOOL,
    "int64": FieldType.TYPE_INT64,
    "double": FieldType.TYPE_DOUBLE,
    "string": FieldType.TYPE_STRING,
    "bytes": FieldType.TYPE_BYTES,
}


class ProtoCodec:
    """Reads requests and writes replies of the operations of one contract as binary protobuf."""

    def __init__(self, known: Iterable[Operation]) -> None:
        self._schema = ProtoSchema(known)
        self._package = self._schema.operations[0].contract.rpartition(".")[0]
        self._pool = _pool(self._package, self._schema)
        self._forms: dict[str, WireForm] = {}

    def message_class(self, name: str) -> Any:
        """The protobuf class of a message of the contract."""
        return GetMessageClass(self._pool.FindMessageTypeByName(f"{self._package}.{name}"))

    def descriptors(self) -> bytes:
        """The contract as a serialized FileDescriptorSet, for reflection and for clients that read it at run time."""
        files = descriptor_pb2.FileDescriptorSet()
        for module in (timestamp_pb2, duration_pb2):
            module.DESCRIPTOR.CopyToProto(files.file.add())
        own = files.file.add()
        own.CopyFrom(_file(self._package, self._schema.messages.values()))
        _add_service(own, self._package, self._schema)
        return bytes(files.SerializeToString())

    def request_class(self, operation: Operation) -> Any:
        """The protobuf class of an operation's request."""
        return self.message_class(self._schema.requests[operation.name].type)

    def reply_class(self, operation: Operation) -> Any:
        """The protobuf class of an operation's reply."""
        return self.message_class(self._schema.replies[operation.name].type)

    def read_request(self, operation: Operation, body: bytes, values: int) -> Any:
        """The request message; raises CallError `invalid_argument`, `resource_exhausted` for more than `values`."""
        parsed = self.request_class(operation)()
        # No value takes less than a byte: a body of no more bytes than that is not counted.
        if len(body) > values and fields_in(body, self._wire_form(parsed.DESCRIPTOR), values) > values:
            raise too_many(values)
        try:
            parsed.ParseFromString(body)
        except message.DecodeError as error:
            text = f"the body is no {parsed.DESCRIPTOR.full_name}: {error}"
            raise CallError(Code.INVALID_ARGUMENT, text, may_have_happened=False) from None
        # Zeros are not written in proto3: without the option, a required field that is 0 or "" would be missing.
        plain = json_format.MessageToDict(
            parsed, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return lenient(operation.request)(encode(self._schema.requests[operation.name].down(plain)))

    def _wire_form(self, descriptor: Any) -> WireForm:
        form = self._forms.get(descriptor.full_name)
        if form is None:
            form = self._forms[descriptor.full_name] = {}
            for each in descriptor.fields:
                if each.message_type is not None:
                    form[each.number] = self._wire_form(each.message_type)
                elif each.is_packed:
                    form[each.number] = 8 if each.type == FieldType.TYPE_DOUBLE else 1
        return form

    def write_reply(self, operation: Operation, reply: Any) -> bytes:
        """The reply as binary protobuf."""
        shape = self._schema.replies[operation.name]
        plain = msgspec.json.decode(encode(reply))
        wrapped = plain if self._is_plain(operation, shape) else {"result": plain}
        filled = json_format.ParseDict(shape.up(wrapped), self.reply_class(operation)())
        return bytes(filled.SerializeToString())

    @staticmethod
    def _is_plain(operation: Operation, shape: FieldShape) -> bool:
        return struct_of(operation.reply) is not None and not shape.label


def fault_bytes(fault: Fault, package: str) -> bytes:
    """A fault's fields as the binary protobuf message of its name."""
    kind: Any = type(fault)
    message_class, shape = _fault(kind, package)
    plain = msgspec.json.decode(encode_fault(fault))
    return bytes(json_format.ParseDict(shape.up(plain), message_class()).SerializeToString())


@cache
def _fault(kind: Any, package: str) -> tuple[Any, FieldShape]:
    schema = ProtoSchema(())
    shape = schema.shape(fault_payload(kind))
    found = _pool(package, schema).FindMessageTypeByName(f"{package}.{shape.type}")
    return GetMessageClass(found), shape


def _pool(package: str, schema: ProtoSchema) -> Any:
    # One of its own, not the process's: there, the files of two contracts of one package would have one name.
    pool = descriptor_pool.DescriptorPool()
    for module in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(_file(package, schema.messages.values()).SerializeToString())
    return pool


def _file(package: str, messages: Iterable[ProtoMessage]) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    file.dependency.extend(f"google/protobuf/{each}.proto" for each in IMPORTS.values())
    for each in messages:
        described = file.message_type.add(name=each.name)
        if each.fields and each.fields[0].label == "oneof":
            described.oneof_decl.add(name="value")
        for field in each.fields:
            _add_field(described, f".{package}", field)
        for field in each.fields:  # after the real ones, as the compiler orders them
            if field.label == "optional" and not field.key:
                described.field[field.number - 1].oneof_index = len(described.oneof_decl)
                described.oneof_decl.add(name=f"_{field.name}")
    return file


def _add_service(file: Any, package: str, schema: ProtoSchema) -> None:
    service = file.service.add(name=schema.operations[0].contract.rpartition(".")[2])
    for each in schema.operations:
        method = service.method.add(name=each.wire_name, server_streaming=each.stream)
        method.input_type = f".{package}.{schema.requests[each.name].type}"
        method.output_type = f".{package}.{schema.replies[each.name].type}"
        if (level := idempotency_level(each)) is not None:
            method.options.idempotency_level = descriptor_pb2.MethodOptions.IdempotencyLevel.Value(level)


def _add_field(described: Any, scope: str, field: Field) -> None:
    made = described.field.add(name=field.name, number=field.number, json_name=camel(field.name))
    made.label = FieldType.LABEL_REPEATED if field.label == "repeated" else FieldType.LABEL_OPTIONAL
    if field.key:
        # A map is a list of entries, whose message readers expect under this name (protobuf language guide, "Maps").
        entry = "".join(part.title() for part in field.name.split("_")) + "Entry"
        nested = described.nested_type.add(name=entry)
        nested.options.map_entry = True
        _add_field(nested, scope, Field("key", 1, field.key))
        _add_field(nested, scope, Field("value", 2, field.type))
        made.type, made.type_name = FieldType.TYPE_MESSAGE, f"{scope}.{described.name}.{entry}"
        return
    if field.type in TYPES:
        made.type = TYPES[field.type]
    else:
        made.type = FieldType.TYPE_MESSAGE
        made.type_name = f".{field.type}" if field.type in IMPORTS else f"{scope}.{field.type}"
    if field.label == "oneof":
        made.oneof_index = 0
    elif field.label == "optional":
        made.proto3_optional = True
