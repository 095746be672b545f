"""The files of protobuf that contracts stand in: what reflection shows, export writes and codecs build classes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.protobuf.shapes import ProtoSchema, proto_home
from meristem.contracts.protokinds import FILES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation
    from meristem.contracts.protobuf.number_lock import ProtoHome
    from meristem.contracts.protobuf.proto_types import ProtoEnumeration, ProtoMessage


class ProtoMethod(msgspec.Struct):
    """An operation as a method of a service."""

    operation: Operation
    request: str
    reply: str


class ProtoFile(msgspec.Struct):
    """A `.proto`: what stands in it, and what it imports."""

    home: ProtoHome
    services: dict[str, list[ProtoMethod]] = {}
    messages: dict[str, ProtoMessage] = {}
    enums: dict[str, ProtoEnumeration] = {}
    imports: list[str] = []


def files_of(operations: Iterable[Operation]) -> list[ProtoFile]:
    """The files of contracts, by path; those of one package stand in one file, unless their lock says otherwise."""
    grouped: dict[ProtoHome, list[Operation]] = {}
    for each in operations:
        grouped.setdefault(proto_home(each), []).append(each)
    files: dict[str, ProtoFile] = {}
    for known in grouped.values():
        add_schema(files, ProtoSchema(known))
    return [files[path] for path in sorted(files)]


def add_schema(files: dict[str, ProtoFile], schema: ProtoSchema) -> None:
    """Put what a schema has into the files, by path."""

    def file_at(home: ProtoHome) -> ProtoFile:
        return files.setdefault(home.path, ProtoFile(home))

    where: dict[str, str] = dict(FILES)
    for message in schema.messages.values():
        file_at(message.home).messages[message.name] = message
        where[message.name] = message.home.path
    for enum in schema.enums.values():
        file_at(enum.home).enums[enum.name] = enum
        where[enum.name] = enum.home.path
    for each in schema.operations:
        methods = file_at(schema.home).services.setdefault(each.contract.rpartition(".")[2], [])
        methods.append(ProtoMethod(each, schema.requests[each.path], schema.replies[each.path]))
    for file in files.values():
        types = {field.type for message in file.messages.values() for field in message.fields}
        types |= {name for methods in file.services.values() for each in methods for name in (each.request, each.reply)}
        needed = {where[name] for name in types if name in where} | set(file.imports)
        file.imports = sorted(needed - {file.home.path})
