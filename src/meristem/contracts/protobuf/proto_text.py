"""The `.proto` files of contracts, for clients in other languages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.contracts.protobuf.number_lock import home_of
from meristem.contracts.protobuf.proto_files import ProtoFile, files_of
from meristem.contracts.protobuf.shapes import proto_home
from meristem.contracts.protodocs import doc_of, field_docs, is_deprecated, module_doc
from meristem.contracts.protokinds import value_name
from meristem.contracts.wiretypes import fields_of, struct_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from meristem.contracts.operation import Operation
    from meristem.contracts.protobuf.number_lock import Numbering
    from meristem.contracts.protobuf.proto_types import Field, ProtoEnumeration, ProtoMessage

LEVELS: Final = {"safe": "NO_SIDE_EFFECTS", "idempotent": "IDEMPOTENT", "once": "IDEMPOTENT"}


def proto_text(operations: Iterable[Operation]) -> str:
    """The `.proto` file in which a contract's operations stand; there must be one."""
    known = list(operations)
    return proto_texts(known)[proto_home(known[0]).path]


def proto_texts(operations: Iterable[Operation]) -> dict[str, str]:
    """The `.proto` files of contracts, by path."""
    return {each.home.path: _Text(each).file() for each in files_of(operations)}


def idempotency_level(operation: Operation) -> str | None:
    """What protobuf calls the semantics of an operation."""
    # `@once` is IDEMPOTENT there: with its key repeated it has its effect once, and protobuf has no closer word.
    return LEVELS.get(operation.semantics.value)


class _Text:
    """Writes one file."""

    def __init__(self, file: ProtoFile) -> None:
        self._file = file
        self._scope = file.home.full("")
        self._messages = {each.name: each for each in file.messages.values()}
        types = (*self._messages, *(each.name for each in file.enums.values()))
        # What stands in a message hides what is called alike outside; so does anything here what is in other packages.
        self._inner = {name.rpartition(".")[2] for name in types if self._holder(name) is not None}
        self._hiding = {
            *self._inner, *file.home.package.split("."), *file.services, *(name.rpartition(".")[2] for name in types)
        }  # fmt: skip

    def file(self) -> str:
        home = self._file.home
        opening = module_doc(next((each.module for each in self._messages.values() if each.module), ""))
        # A module that was imported without a comment says where it came from, which its file does not.
        told = opening and self._is_of_one_module() and opening != f"Contracts of {home.path}."
        lines = [*_comment(opening), ""] if told else []
        lines += ['syntax = "proto3";']
        if home.package:
            lines += ["", f"package {home.package};"]
        if self._file.imports:
            lines += ["", *(f'import "{each}";' for each in self._file.imports)]
        if home.options:
            lines += ["", *(f"option {name} = {_literal(value)};" for name, value in home.options)]
        for service in self._file.services:
            lines += ["", *self._service(service)]
        for enum in self._file.enums.values():
            if self._holder(enum.name) is None:
                lines += ["", *self._enum(enum)]
        for message in self._messages.values():
            if self._holder(message.name) is None:
                lines += ["", *self._message(message)]
        return "\n".join(lines) + "\n"

    def _is_of_one_module(self) -> bool:
        return all(home_of(each.module) == self._file.home for each in self._messages.values() if each.module)

    def _holder(self, name: str) -> str | None:
        holder = name.rpartition(".")[0]
        return holder if holder in self._messages else None

    def _service(self, name: str) -> list[str]:
        methods = self._file.services[name]
        # Within a service the name of an rpc hides a message that is called alike.
        hidden = {each.operation.wire_name for each in methods}

        def named(type_: str) -> str:
            short = self._name(type_)
            return f".{type_}" if short.partition(".")[0] in hidden else short

        doc = methods[0].operation.contract_doc
        lines = [*_comment(doc), f"service {name} {{"]
        if is_deprecated(doc):
            lines.append("  option deprecated = true;")
        for each in methods:
            request = f"{'stream ' if each.operation.takes_stream else ''}{named(each.request)}"
            reply = f"{'stream ' if each.operation.stream else ''}{named(each.reply)}"
            level, doc = idempotency_level(each.operation), each.operation.doc
            options = [f"option idempotency_level = {level};"] if level else []
            options += ["option deprecated = true;"] if is_deprecated(doc) else []
            ending = f" {{ {' '.join(options)} }}" if options else ";"
            lines += [f"  {line}" for line in _comment(doc)]
            lines.append(f"  rpc {each.operation.wire_name}({request}) returns ({reply}){ending}")
        return [*lines, "}"]

    def _message(self, message: ProtoMessage) -> list[str]:
        doc = doc_of(message.made_of)
        docs = {each.encode_name: field_docs(message.made_of).get(each.name, "") for each in _fields(message)}
        body = ["option deprecated = true;"] if is_deprecated(doc) else []
        for enum in self._file.enums.values():
            if self._holder(enum.name) == message.name:
                body += [*self._enum(enum), ""]
        for nested in self._messages.values():
            if self._holder(nested.name) == message.name:
                body += [*self._message(nested), ""]
        body += _reserved(message.numbering, {each.name for each in message.fields})
        begun: set[str] = set()
        for field in message.fields:
            if not field.oneof:
                body += self._field(field, docs.get(field.name, ""))
            elif field.oneof not in begun:
                begun.add(field.oneof)
                inner = [each for each in message.fields if each.oneof == field.oneof]
                lines = [line for each in inner for line in self._field(each, docs.get(each.name, ""))]
                body += [f"oneof {field.oneof} {{", *(f"  {each}" for each in lines), "}"]
        return [*_comment(doc), *_block(f"message {message.name.rpartition('.')[2]}", body)]

    def _enum(self, enum: ProtoEnumeration) -> list[str]:
        doc = doc_of(enum.made_of)
        docs = {value_name(name): text for name, text in field_docs(enum.made_of).items()}
        body = ["option allow_alias = true;"] if enum.has_aliases else []
        body += ["option deprecated = true;"] if is_deprecated(doc) else []
        body += _reserved(enum.numbering, enum.values)
        for name, number in enum.values.items():
            option = " [deprecated = true]" if is_deprecated(docs.get(name, "")) else ""
            body += [*_comment(docs.get(name, "")), f"{name} = {number}{option};"]
        return [*_comment(doc), *_block(f"enum {enum.name.rpartition('.')[2]}", body)]

    def _field(self, field: Field, doc: str) -> list[str]:
        type_ = self._name(field.type)
        if field.key:
            type_ = f"map<{field.key}, {type_}>"
        elif field.label:
            type_ = f"{field.label} {type_}"
        options = [f"json_name = {_literal(field.json)}"] if field.json else []
        options += ["deprecated = true"] if is_deprecated(doc) else []
        ending = f" [{', '.join(options)}]" if options else ""
        return [*_comment(doc), f"{type_} {field.name} = {field.number}{ending};"]

    def _name(self, name: str) -> str:
        """A type as it is written in the file: short within its package."""
        if "." not in name:
            return name
        short = name.removeprefix(self._scope)
        # Names are looked for from the inside out (language guide, "Packages and Name Resolution").
        if short != name or not self._scope:
            return f".{name}" if short.partition(".")[0] in self._inner else short
        return f".{name}" if name.partition(".")[0] in self._hiding else name


def _fields(message: ProtoMessage) -> tuple[msgspec.structs.FieldInfo, ...]:
    return () if struct_of(message.made_of) is None else fields_of(message.made_of)


def _comment(doc: str) -> list[str]:
    return [f"// {each}".rstrip() for each in doc.splitlines()]


def _block(head: str, body: list[str]) -> list[str]:
    if not body:
        return [f"{head} {{}}"]
    return [f"{head} {{", *(f"  {each}" if each else "" for each in body), "}"]


def _reserved(numbering: Numbering, present: Container[str]) -> list[str]:
    numbers = [
        str(start) if start == end else f"{start} to {'max' if end in MAXIMA else end}"
        for start, end in numbering.reserved_ranges()
    ]
    names = [f'"{each}"' for each in numbering.reserved_names(present)]
    return [f"reserved {', '.join(each)};" for each in (numbers, names) if each]


MAXIMA: Final = (2**29 - 1, 2**31 - 1)


def _literal(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)
