"""Contracts as descriptors of protobuf, and the message classes that are made of them when the program runs.

It needs the extra: `pip install meristem[protobuf]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.protobuf.proto_files import ProtoFile, add_schema, files_of
from meristem.contracts.protobuf.proto_text import idempotency_level
from meristem.contracts.protobuf.proto_types import Field
from meristem.contracts.protokinds import WRAPPERS
from meristem.contracts.wiretypes import camel
from meristem.errors import ConfigurationError

try:
    from google.protobuf import (  # type: ignore[import-untyped]
        any_pb2,
        descriptor_pb2,
        descriptor_pool,
        duration_pb2,
        empty_pb2,
        field_mask_pb2,
        struct_pb2,
        timestamp_pb2,
        wrappers_pb2,
    )
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
except ImportError as error:
    raise ConfigurationError("binary protobuf needs an extra: pip install 'meristem[protobuf]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation
    from meristem.contracts.protobuf.proto_types import ProtoEnumeration, ProtoMessage
    from meristem.contracts.protobuf.shapes import ProtoSchema

MALFORMED: Final = DecodeError
FieldType: Final = descriptor_pb2.FieldDescriptorProto
WELL_KNOWN_FILES: Final = (any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
SCALAR_NAMES: Final = (
    *dict.fromkeys(WRAPPERS.values()),
    "sint32",
    "sint64",
    "fixed32",
    "fixed64",
    "sfixed32",
    "sfixed64",
)
TYPES: Final = {name: FieldType.Type.Value(f"TYPE_{name.upper()}") for name in SCALAR_NAMES}


def file_set(operations: Iterable[Operation]) -> bytes:
    """Contracts as a serialized FileDescriptorSet, for reflection and for clients that read it at run time.

    The contracts may be of several packages; no message stands in it twice.
    """
    found = descriptor_pb2.FileDescriptorSet()
    for module in WELL_KNOWN_FILES:
        module.DESCRIPTOR.CopyToProto(found.file.add())
    files = _descriptors(files_of(operations))
    pool = _pool(files)
    for each in files:  # as the pool has understood them: readers want to be told which type is a message or an enum
        pool.FindFileByName(each.name).CopyToProto(found.file.add())
    return bytes(found.SerializeToString())


def pool_of(schema: ProtoSchema) -> Any:
    """A pool of descriptors that holds the messages of a schema."""
    files: dict[str, ProtoFile] = {}
    add_schema(files, schema)
    return _pool(_descriptors(files.values()))


def _pool(files: Iterable[Any]) -> Any:
    # One of its own, not the process's: there, the files of two contracts of one package would have one name.
    pool = descriptor_pool.DescriptorPool()
    for module in WELL_KNOWN_FILES:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for each in files:
        pool.AddSerializedFile(each.SerializeToString())
    return pool


def class_of(pool: Any, name: str) -> Any:
    """The class of a message by its full name."""
    return GetMessageClass(pool.FindMessageTypeByName(name))


def _descriptors(files: Iterable[ProtoFile]) -> list[Any]:
    """The files, each behind those that it imports."""
    waiting = {each.home.path: each for each in files}
    ordered: list[Any] = []

    def add(path: str) -> None:
        if (file := waiting.pop(path, None)) is not None:
            for each in file.imports:
                add(each)
            ordered.append(_file(file))

    for path in list(waiting):
        add(path)
    return ordered


def _file(file: ProtoFile) -> Any:
    described = descriptor_pb2.FileDescriptorProto(name=file.home.path, package=file.home.package, syntax="proto3")
    described.dependency.extend(file.imports)
    for name, value in file.home.options:
        setattr(described.options, name, value)
    places: dict[str, Any] = {}
    for message in sorted(file.messages.values(), key=lambda each: each.name.count(".")):
        holder, _, name = message.name.rpartition(".")
        places[message.name] = made = (
            places[holder].nested_type.add(name=name) if holder in places else described.message_type.add(name=name)
        )
        _message(made, message, file)
    for enum in file.enums.values():
        holder, _, name = enum.name.rpartition(".")
        _enum(places[holder].enum_type.add(name=name) if holder in places else described.enum_type.add(name=name), enum)
    for name, methods in file.services.items():
        service = described.service.add(name=name)
        for each in methods:
            method = service.method.add(name=each.operation.wire_name)
            method.client_streaming, method.server_streaming = each.operation.takes_stream, each.operation.stream
            method.input_type, method.output_type = f".{each.request}", f".{each.reply}"
            if (level := idempotency_level(each.operation)) is not None:
                method.options.idempotency_level = descriptor_pb2.MethodOptions.IdempotencyLevel.Value(level)
    return described


def _message(made: Any, message: ProtoMessage, file: ProtoFile) -> None:
    oneofs = {name: at for at, name in enumerate(dict.fromkeys(each.oneof for each in message.fields if each.oneof))}
    for name in oneofs:
        made.oneof_decl.add(name=name)
    for field in message.fields:
        _field(made, message.name, field, file)
        if field.oneof:
            made.field[-1].oneof_index = oneofs[field.oneof]
    for field in made.field:  # after the real ones, as the compiler orders them
        if field.proto3_optional:
            field.oneof_index = len(made.oneof_decl)
            made.oneof_decl.add(name=f"_{field.name}")
    for start, end in message.numbering.reserved_ranges():
        made.reserved_range.add(start=start, end=end + 1)
    made.reserved_name.extend(message.numbering.reserved_names({each.name for each in message.fields}))


def _enum(made: Any, enum: ProtoEnumeration) -> None:
    for name, number in enum.values.items():
        made.value.add(name=name, number=number)
    if enum.has_aliases:
        made.options.allow_alias = True


def _field(made: Any, scope: str, field: Field, file: ProtoFile) -> None:
    described = made.field.add(name=field.name, number=field.number, json_name=field.json or camel(field.name))
    described.label = FieldType.LABEL_REPEATED if field.label == "repeated" else FieldType.LABEL_OPTIONAL
    if field.key:
        # A map is a list of entries, whose message readers expect under this name (protobuf language guide, "Maps").
        entry = "".join(part[:1].upper() + part[1:] for part in field.name.split("_")) + "Entry"
        nested = made.nested_type.add(name=entry)
        nested.options.map_entry = True
        _field(nested, f"{scope}.{entry}", Field("key", 1, field.key), file)
        _field(nested, f"{scope}.{entry}", Field("value", 2, field.type), file)
        described.type, described.type_name = FieldType.TYPE_MESSAGE, f".{scope}.{entry}"
        return
    if field.type in TYPES:
        described.type = TYPES[field.type]
    else:
        # What it is, is found by its name (descriptor.proto: "If type_name is set, this need not be set").
        described.type_name = f".{field.type}"
    if field.label == "optional":
        described.proto3_optional = True
