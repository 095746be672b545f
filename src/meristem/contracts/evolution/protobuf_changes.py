"""What changed of a contract's binary protobuf: by field numbers, as those read it who never see a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.contracts.evolution.change import ChangeKind
from meristem.contracts.evolution.snapshot import ProtoForm
from meristem.contracts.wiretypes import camel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.evolution.change import ChangeList
    from meristem.contracts.evolution.snapshot import ContractForm, ProtoEnumForm, ProtoFieldForm, Written

ALIKE: Final = (
    frozenset(("int32", "int64", "uint32", "uint64", "bool")),
    frozenset(("sint32", "sint64")),
    frozenset(("fixed32", "sfixed32")),
    frozenset(("fixed64", "sfixed64")),
)
"""Types of one encoding (protobuf.dev, Updating A Message Type)."""

EMPTY: Final = "google.protobuf.Empty"
NOTHING: Final = ProtoForm(())
NUMBERS: Final = (
    "let new fields stand last; or go back, run `meristem contracts lock`, which keeps all numbers, and change it then"
)


class ProtobufChanges:
    """Compares the messages that two contracts of one name send; what it finds is noted in `changes`."""

    def __init__(self, name: str, old: ContractForm, new: ContractForm, changes: ChangeList) -> None:
        self._short = name.rpartition(".")[2]
        self._old = old
        self._new = new
        self._changes = changes
        self._seen: set[tuple[str, str]] = set()

    def compare(self) -> None:
        """Compare what the operations that both have take and give."""
        for name, operation in self._old.operations.items():
            if name in self._new.operations and operation.streams == self._new.operations[name].streams:
                at = self._new.operations[name].source
                for fault in map(_name, operation.raises):  # a detail of the error, whose type is the fault's name
                    if fault in self._old.proto_messages and fault in self._new.proto_messages:
                        self._messages(fault, fault, at)
                for what, old, new in (
                    ("request", self._old.proto_requests[name], self._new.proto_requests[name]),
                    ("reply", self._old.proto_replies[name], self._new.proto_replies[name]),
                ):
                    self._sent(f"{self._short}.{operation.name}", what, old, new, at)

    def _sent(self, label: str, what: str, old: str, new: str, at: Written) -> None:
        """Compare what an operation takes or gives, which may be a message of protobuf's own: `Empty`, `FieldMask`."""
        if _message(self._old, old) is not None and _message(self._new, new) is not None:
            self._messages(old, new, at)
        elif old != new:
            says = f"its {what} was {old} in protobuf and is {new}"
            remedy = "keep the message, or add an operation beside this one"
            self._changes.add("wire-type-changed", label, says, remedy, ChangeKind.WIRE, at=at)

    def _messages(self, old: str, new: str, at: Written) -> None:
        if (old, new) in self._seen:
            return
        self._seen.add((old, new))
        before, after = _message(self._old, old), _message(self._new, new)
        assert before is not None
        assert after is not None
        names = {each.name: each for each in after.fields}
        numbers = {each.number: each for each in after.fields}
        for field in before.fields:
            where = f"{self._short}/{new}.{field.name}"
            same, there = names.get(field.name), numbers.get(field.number)
            if same is not None and same.number != field.number:
                says = f"had the number {field.number} in protobuf and has {same.number}"
                self._changes.add("number-changed", where, says, NUMBERS, ChangeKind.WIRE, at=at)
            elif there is not None:
                self._field(field, there, where, at)
            elif same is None and field.number not in after.reserved:
                self._dropped(field.number, where, at)

        self._unreserved(before.reserved, after.reserved, f"{self._short}/{new}", at)

    def _unreserved(self, old: Iterable[int], new: Iterable[int], where: str, at: Written) -> None:
        if freed := sorted(set(old) - set(new)):
            numbers = ", ".join(map(str, freed[:5])) + ", …" * (len(freed) > 5)
            says = f"no longer reserves {numbers}: what older releases know there could get another meaning"
            remedy = "put the line that begins with `-` back into contracts.lock"
            self._changes.add("number-free", where, says, remedy, ChangeKind.WIRE, at=at)

    def _dropped(self, number: int, where: str, at: Written) -> None:
        says = f"is gone, and its number {number} is free for another"
        remedy = "reserve the number, so that it is never given again: `meristem contracts lock` does"
        self._changes.add("number-free", where, says, remedy, ChangeKind.WIRE, at=at)

    def _field(self, old: ProtoFieldForm, new: ProtoFieldForm, where: str, at: Written) -> None:
        if not self._alike(old, new, at) or _many(old) != _many(new):
            says = f"number {old.number} was {_written(old)} in protobuf and is {_written(new)}"
            remedy = "give what has another type a new name and number"
            self._changes.add("wire-type-changed", where, says, remedy, ChangeKind.WIRE, at=at)
        elif old.oneof != new.oneof:
            was, is_ = (f"the oneof {each.oneof}" if each.oneof else "no oneof" for each in (old, new))
            says = f"number {old.number} stood in {was} and stands in {is_}"
            self._changes.add("wire-type-changed", where, says, "keep it where it is", ChangeKind.WIRE, at=at)
        if old.name == new.name and old.json != new.json:
            was, is_ = (each.json or camel(each.name) for each in (old, new))
            says = f"is {is_!r} in protobuf's JSON and was {was!r}"
            remedy = f"keep the name: `JsonName({was!r})`"
            self._changes.add("field-renamed", where, says, remedy, ChangeKind.JSON, at=at)

    def _values(self, name: str, old: ProtoEnumForm, new: ProtoEnumForm, at: Written) -> None:
        for value, number in old.values.items():
            where = f"{self._short}/{name}.{value}"
            if number not in new.values.values():
                if number not in new.reserved:
                    self._dropped(number, where, at)
            elif value not in new.values:
                says, remedy = (
                    "has another name in protobuf's JSON",
                    "keep the name, and the new one below it as an alias",
                )
                self._changes.add("member-removed", where, says, remedy, ChangeKind.JSON, at=at)
        self._unreserved(old.reserved, new.reserved, f"{self._short}/{name}", at)

    def _alike(self, old: ProtoFieldForm, new: ProtoFieldForm, at: Written) -> bool:
        if old.key != new.key and not _one_encoding(old.key, new.key):
            return False
        if old.type in self._old.proto_messages and new.type in self._new.proto_messages:
            # By what they hold, not by their names, which are not sent.
            self._messages(old.type, new.type, at)
            return True
        before, after = self._old.proto_enums.get(old.type), self._new.proto_enums.get(new.type)
        if before is not None and after is not None:
            self._values(new.type, before, after, at)
            return True
        return _one_encoding(old.type, new.type)


def _message(form: ContractForm, name: str) -> ProtoForm | None:
    """What a message holds; None for one of protobuf's own, but for that which holds nothing."""
    return form.proto_messages.get(name, NOTHING if name == EMPTY else None)


def _name(key: str) -> str:
    return key.replace(":", ".").rpartition(".")[2]


def _one_encoding(old: str, new: str) -> bool:
    # Text is bytes, but not all bytes are text.
    return old == new or (old, new) == ("string", "bytes") or any({old, new} <= group for group in ALIKE)


def _many(field: ProtoFieldForm) -> str:
    return "map" if field.key else "repeated" if field.label == "repeated" else ""


def _written(field: ProtoFieldForm) -> str:
    if field.key:
        return f"map<{field.key}, {field.type}>"
    return f"repeated {field.type}" if field.label == "repeated" else field.type
