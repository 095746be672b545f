"""Writes the module of a `.proto`: its enums, messages and services as a person would."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from meristem.contracts.protodocs import is_deprecated
from meristem.contracts.wiretypes import camel
from meristem.errors import ConfigurationError
from meristem.proto.comments import Comments
from meristem.proto.descriptor_tree import enums_of, messages_of, prefix_of
from meristem.proto.python_names import defined_names, field_names, member_name, method_names

WIDTH: Final = 88  # what formatters take unless they are told otherwise

SCALARS: Final = {
    1: "float", 2: "float32", 3: "int", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool", 9: "str",
    12: "bytes", 13: "uint32", 15: "sfixed32", 16: "sfixed64", 17: "sint32", 18: "sint64",
}  # fmt: skip
"""By the numbers of FieldDescriptorProto.Type."""
MESSAGE, ENUM, REPEATED = 11, 14, 3
EMPTY: Final = {"[]": "list", "{}": "dict"}
ZEROS: Final = {"bool": "False", "str": '""', "bytes": 'b""', "float": "0.0", "float32": "0.0"}
BUILTIN: Final = frozenset(("float", "int", "bool", "str", "bytes", "list", "dict", "property"))

WELL_KNOWN: Final = {
    "Timestamp": ("datetime", "datetime"),
    "Duration": ("datetime", "timedelta"),
    "Any": ("meristem.proto", "AnyMessage"),
    **{
        name: ("meristem.proto", name)
        for name in (
            "Empty", "FieldMask", "Struct", "Value", "ListValue", "DoubleValue", "FloatValue", "Int64Value",
            "UInt64Value", "Int32Value", "UInt32Value",
            "BoolValue", "StringValue", "BytesValue",
        )
    },
}  # fmt: skip
LEVELS: Final = {1: "safe", 2: "idempotent"}
STANDARD: Final = ("builtins", "collections.abc", "datetime", "typing")
RESERVED: Final = BUILTIN | {
    *SCALARS.values(), *(name for _, name in WELL_KNOWN.values()), "field", "Annotated", "JsonName", "Message", "Oneof",
    "ProtoEnum",
}  # fmt: skip
"""Names of types and of what makes fields: within a class they must not mean a field."""


class ModuleWriter:
    """Writes one module; `modules` names that of each file. `public` says that anybody may call its operations."""

    def __init__(
        self, file: Any, known: Sequence[Any], modules: Mapping[str, str], *, relative: bool, public: bool = False
    ) -> None:
        self._file = file
        self._terms = ["public=True"] if public else []
        self._comments = Comments(file)
        self._dot = "." if relative else ""
        self._imports: dict[str, set[str]] = defaultdict(set)
        self._prefix = f".{prefix_of(file)}"
        self._homes: dict[str, tuple[str, str]] = {}
        self._entries: dict[str, Any] = {}
        self._enums: dict[str, Any] = {}
        for each in known:
            self._index(each, modules.get(each.name, ""))
        self._given: dict[str, tuple[str, str]] = {}
        self._own = {each.name for each in (*file.message_type, *file.enum_type, *file.service)}
        # Those that stand in others, too: a class `Message` in a message would be the base of those after it.
        self._taken = {*defined_names(file)}
        types = {name.partition(".")[0] for _, name in self._homes.values()} | self._taken
        self._no_fields = RESERVED | types | {f"{each}_" for each in types & RESERVED}

    def _index(self, file: Any, module: str) -> None:
        messages, enums = dict(messages_of(file)), dict(enums_of(file))
        self._homes |= {f".{full}": (module, full.removeprefix(prefix_of(file))) for full in (*messages, *enums)}
        self._entries |= {f".{full}": each for full, each in messages.items() if each.options.map_entry}
        self._enums |= {f".{full}": each for full, each in enums.items()}

    def text(self) -> str:
        """The module."""
        blocks = [self._enum(each, (5, at), "") for at, each in enumerate(self._file.enum_type)]
        blocks += [self._message(each, (4, at), self._prefix, "") for at, each in enumerate(self._file.message_type)]
        blocks += [self._service(each, (6, at)) for at, each in enumerate(self._file.service)]
        opening = self._comments.of_file() or f"Contracts of {self._file.name}."
        head = [*_docstring(opening, ""), "", "from __future__ import annotations", ""]
        if any(each.endswith((" = []", " = {}")) for block in blocks for each in block):
            head.insert(0, "# ruff: noqa: RUF012 - each message gets a default of its own")
        return "\n".join([*head, *self._import_lines(), *("\n".join(["", "", *each]) for each in blocks)]) + "\n"

    def _import_lines(self) -> list[str]:
        groups: list[list[str]] = [[], [], []]
        for module in sorted(self._imports, key=lambda each: (each.startswith("."), each)):
            names = sorted(self._imports[module], key=_import_order)
            group = 0 if module in STANDARD else 1 if not self._is_own(module) else 2
            groups[group] += _import(module, names)
        return "\n\n".join("\n".join(each) for each in groups if each).split("\n")

    def _is_own(self, module: str) -> bool:
        return module.startswith(".") or module in {home for home, _ in self._homes.values()}

    def _use(self, module: str, name: str) -> str:
        """The name of what is imported; one that the file has itself, or imports from elsewhere, gets another."""
        given = name
        while given in self._taken or self._given.setdefault(given, (module, name)) != (module, name):
            given = f"{given}_"
        self._imports[module].add(name if given == name else f"{name} as {given}")
        return given

    def _builtin(self, name: str) -> str:
        return self._use("builtins", name) if name in self._taken else name

    def _named(self, full: str) -> str:
        """A message or enum by its full name, as the module refers to it."""
        if full.startswith(".google.protobuf."):
            name = full.rpartition(".")[2]
            if name not in WELL_KNOWN:
                raise ConfigurationError(
                    f"{self._file.name}: {full[1:]} has no type in a contract: say what it holds in a message of yours"
                )
            return self._use(*WELL_KNOWN[name])
        module, name = self._homes[full]
        if self._homes_here(full):
            return name
        top, _, inner = name.partition(".")
        return self._use(f"{self._dot}{module}", top) + (f".{inner}" if inner else "")

    def _homes_here(self, full: str) -> bool:
        name = full.removeprefix(self._prefix)
        return full.startswith(self._prefix) and name.partition(".")[0] in self._own

    def _enum(self, enum: Any, path: tuple[int, ...], indent: str) -> list[str]:
        lines = [f"{indent}class {enum.name}({self._use('meristem.proto', 'ProtoEnum')}):"]
        lines += self._documented(path, enum.options.deprecated, f"{indent}    ", then_blank=True)
        for at, value in enumerate(enum.value):
            lines.append(f"{indent}    {member_name(self._file, enum, value.name)} = {value.number}")
            lines += self._documented((*path, 2, at), value.options.deprecated, f"{indent}    ")
        return lines

    def _message(self, message: Any, path: tuple[int, ...], scope: str, indent: str) -> list[str]:
        full, inner = f"{scope}{message.name}", f"{indent}    "
        lines = [f"{indent}class {message.name}({self._use('meristem', 'Message')}):"]
        body = self._documented(path, message.options.deprecated, inner, then_blank=True)
        for at, enum in enumerate(message.enum_type):
            body += [*self._enum(enum, (*path, 4, at), inner), ""]
        for at, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                body += [*self._message(nested, (*path, 3, at), f"{full}.", inner), ""]
        names = field_names(message, self._no_fields)
        for at, field in enumerate(message.field):
            body += self._field(field, message, full, names[field.name], inner)
            body += self._documented((*path, 2, at), field.options.deprecated, inner)
        while body and not body[-1]:
            body.pop()
        return [*lines, *(body or [f"{inner}pass"])]

    def _field(self, field: Any, message: Any, full: str, name: str, indent: str) -> list[str]:
        type_, default = self._typed(field, full)
        extras = []
        if field.HasField("oneof_index") and not field.proto3_optional:
            oneof = message.oneof_decl[field.oneof_index].name
            extras.append(f'{self._use("meristem.proto", "Oneof")}("{oneof}")')
            type_, default = f"{type_.removesuffix(' | None')} | None", "None"
        if field.json_name and field.json_name != camel(field.name):
            spelled = json.dumps(field.json_name, ensure_ascii=False)
            extras.append(f"{self._use('meristem.proto', 'JsonName')}({spelled})")
        if extras:
            type_ = f"{self._use('typing', 'Annotated')}[{', '.join([type_, *extras])}]"
        if name != field.name:
            given = default.removeprefix("lambda: ")
            call = self._use("msgspec", "field")
            factory = default if default != given else ""
            if default in EMPTY:
                factory = self._builtin(EMPTY[default])
            default = (
                f'{call}(name="{field.name}", {f"default_factory={factory}" if factory else f"default={default}"})'
            )
        elif default.startswith("lambda: "):
            default = f"{self._use('msgspec', 'field')}(default_factory={default})"
        return _fitted_field(indent, name, type_, default)

    def _typed(self, field: Any, full: str) -> tuple[str, str]:
        """The type of a field and its default."""
        if field.type_name in self._entries:
            key, value = self._entries[field.type_name].field
            if key.type == 8:
                raise ConfigurationError(
                    f"{self._file.name}: {full[1:]}.{field.name}: JSON has no keys that are bool; use a string"
                )
            return f"{self._builtin('dict')}[{self._single(key)}, {self._single(value)}]", "{}"
        single = self._single(field)
        if field.label == REPEATED:
            return f"{self._builtin('list')}[{single}]", "[]"
        if field.type == MESSAGE or field.proto3_optional:
            return f"{single} | None", "None"
        if field.type == ENUM:
            return single, self._first_member(field.type_name, single, full)
        return single, ZEROS.get(SCALARS[field.type], "0")

    def _single(self, field: Any) -> str:
        if field.type in (MESSAGE, ENUM):
            return self._named(field.type_name)
        name = SCALARS[field.type]
        return self._builtin(name) if name in BUILTIN else self._use("meristem.proto", name)

    def _first_member(self, enum: str, name: str, full: str) -> str:
        first = member_name(self._file, self._enums[enum], self._enums[enum].value[0].name)
        holder, _, short = enum.rpartition(".")
        if holder == full:  # it stands above the fields, in the same class
            return f"{short}.{first}"
        if "." in name and self._homes_here(enum):  # its class may not be there yet when this one is made
            return f"lambda: {name}.{first}"
        return f"{name}.{first}"

    def _service(self, service: Any, path: tuple[int, ...]) -> list[str]:
        bases = f"{self._use('meristem', 'Contract')}, {self._use('typing', 'Protocol')}"
        lines = [f'class {service.name}({bases}, package="{self._file.package}"):']
        lines += self._documented(path, service.options.deprecated, "    ")
        names = method_names(service, self._taken)
        for at, method in enumerate(service.method):
            lines += ["", *self._method(method, names[method.name], (*path, 2, at))]
        return [each for at, each in enumerate(lines) if at != 1 or each]  # no blank line under the head

    def _method(self, method: Any, name: str, path: tuple[int, ...]) -> list[str]:
        spelled = "".join(part.capitalize() for part in name.split("_"))
        decorator = self._use("meristem", LEVELS.get(method.options.idempotency_level, "operation"))
        terms = [*([] if spelled == method.name else [f'name="{method.name}"']), *self._terms]
        said = f"({', '.join(terms)})" if terms else ""
        request, reply = self._named(method.input_type), self._named(method.output_type)
        parameter = f"request: {request}"
        if method.client_streaming:
            parameter = f"requests: {self._use('collections.abc', 'AsyncIterator')}[{request}]"
        if method.server_streaming:
            reply = f"{self._use('collections.abc', 'AsyncIterator')}[{reply}]"
        kind = "def" if method.server_streaming else "async def"
        doc = self._documented(path, method.options.deprecated, "        ")
        head = f"    {kind} {name}(self, {parameter}) -> {reply}:"
        if len(head) + (0 if doc else 4) > WIDTH:
            head = f"    {kind} {name}(\n        self, {parameter}\n    ) -> {reply}:"
        return [f"    @{decorator}{said}", *([head, *doc, "        ..."] if doc else [f"{head} ..."])]

    def _documented(
        self, path: tuple[int, ...], deprecated: bool, indent: str, *, then_blank: bool = False
    ) -> list[str]:
        comment = self._comments.of(path)
        if deprecated and not is_deprecated(comment):
            comment = f"Deprecated: {comment}" if comment else "Deprecated."
        if not comment:
            return []
        return [*_docstring(comment, indent), *([""] if then_blank else [])]


def _docstring(text: str, indent: str) -> list[str]:
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    first, *rest = text.split("\n")
    if first.startswith('"'):
        first = f" {first}"
    if not rest:
        return [f'{indent}"""{first}{" " if first.endswith(chr(34)) else ""}"""']
    return [f'{indent}"""{first}', *(f"{indent}{each}".rstrip() for each in rest), f'{indent}"""']


def _import_order(name: str) -> tuple[int, str]:
    """As formatters of imports order names: constants, classes, the rest."""
    plain = name.partition(" ")[0]
    return (0 if plain.isupper() and len(plain) > 1 else 1 if plain[:1].isupper() else 2, name)


def _import(module: str, names: list[str]) -> list[str]:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"from {module} import (", *(f"    {each}," for each in names), ")"]


def _fitted_field(indent: str, name: str, type_: str, default: str) -> list[str]:
    line = f"{indent}{name}: {type_} = {default}"
    if len(line) <= WIDTH:
        return [line]
    opened, _, inner = type_.partition("[")
    if inner:
        within = f"{indent}    {inner[:-1]}"
        return [f"{indent}{name}: {opened}[", within, f"{indent}] = {default}"]
    called, _, inner = default.partition("(")
    return [f"{indent}{name}: {type_} = {called}(", f"{indent}    {inner[:-1]}", f"{indent})"] if inner else [line]
