"""The `.proto` file of a contract, for clients in other languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.contracts.proto import ProtoSchema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation
    from meristem.contracts.proto import Field, ProtoMessage

IMPORTS: Final = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}


def proto_text(operations: Iterable[Operation]) -> str:
    """The `.proto` file of a contract's operations."""
    schema = ProtoSchema(operations)
    package, _, service = schema.operations[0].contract.rpartition(".")
    used = {field.type for message in schema.messages.values() for field in message.fields}
    lines = ['syntax = "proto3";', "", f"package {package};", ""]
    lines += [f'import "google/protobuf/{IMPORTS[each]}.proto";' for each in sorted(used & IMPORTS.keys())]
    lines += ["", f"service {service} {{"]
    for each in schema.operations:
        reply = f"{'stream ' if each.stream else ''}{schema.replies[each.name].type}"
        lines.append(f"  rpc {each.wire_name}({schema.requests[each.name].type}) returns ({reply}) {{{_level(each)}}}")
    lines.append("}")
    for message in schema.messages.values():
        lines += ["", *_message_text(message)]
    return "\n".join(lines) + "\n"


def idempotency_level(operation: Operation) -> str | None:
    """What protobuf calls the semantics of an operation."""
    # `@once` is IDEMPOTENT there: with its key repeated it has its effect once, and protobuf has no closer word.
    return {"safe": "NO_SIDE_EFFECTS", "idempotent": "IDEMPOTENT", "once": "IDEMPOTENT"}.get(operation.semantics.value)


def _level(operation: Operation) -> str:
    level = idempotency_level(operation)
    return f" option idempotency_level = {level}; " if level else ""


def _message_text(message: ProtoMessage) -> list[str]:
    if not message.fields:
        return [f"message {message.name} {{}}"]
    if message.fields[0].label == "oneof":
        inner = [f"    {each.type} {each.name} = {each.number};" for each in message.fields]
        return [f"message {message.name} {{", "  oneof value {", *inner, "  }", "}"]
    return [f"message {message.name} {{", *(f"  {_field_text(each)}" for each in message.fields), "}"]


def _field_text(field: Field) -> str:
    if field.key:
        return f"map<{field.key}, {field.type}> {field.name} = {field.number};"
    return f"{field.label + ' ' if field.label else ''}{field.type} {field.name} = {field.number};"
