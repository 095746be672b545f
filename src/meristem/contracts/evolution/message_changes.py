"""What changed of messages and their fields, from the places where they cross."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meristem.contracts.evolution.change import ChangeKind, Crossing
from meristem.contracts.evolution.snapshot import MessageForm
from meristem.contracts.evolution.type_changes import TypeChanges

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meristem.contracts.evolution.change import ChangeList
    from meristem.contracts.evolution.snapshot import ContractsSnapshot, FaultForm, FieldForm, TypeShape, Written

ZEROS: Final = frozenset(("bool", "int", "float", "str", "bytes", "list", "set", "frozenset", "tuple", "dict"))
"""The types whose zero is not written in protobuf: a field of another that is missing there is refused."""


class MessageChanges(TypeChanges):
    """Compares messages; each pair once for each use."""

    def __init__(self, old: ContractsSnapshot, new: ContractsSnapshot, changes: ChangeList) -> None:
        super().__init__(old, new, changes)
        self._seen: set[tuple[str, str, Crossing]] = set()

    def messages(self, old: str, new: str, use: Crossing) -> None:
        if (old, new, use) in self._seen:
            return
        self._seen.add((old, new, use))
        before, after = self.old.messages[old], self.new.messages[new]
        self.moved(before.source, after.source, before.name, use)
        if before.tag != after.tag or before.tag_field != after.tag_field:
            says = f"its tag was {before.tag!r} and is {after.tag!r}"
            remedy = "keep the tag, however the class is called"
            self.changes.add("tag-changed", after.name, says, remedy, ChangeKind.JSON, use=use, at=after.source)
        self.fields(before, after, use, after.name, after.source)

    def fault(self, old: FaultForm, new: FaultForm, use: Crossing) -> None:
        """Compare the fields of two faults."""
        self.fields(MessageForm(old.name, old.fields), MessageForm(new.name, new.fields), use, new.name, new.source)

    def fields(self, before: MessageForm, after: MessageForm, use: Crossing, where: str, at: Written) -> None:
        """Compare the fields of two messages."""
        pairs, removed, added = _paired(before.fields, after.fields)
        for old, new in pairs:
            self._both(old, new, use, f"{where}.{new.name}", _at(at, new))
        for each in removed:
            meant = _meant(each, before.fields, after.fields)
            self._removed(each, meant if meant in added else None, after, use, f"{where}.{each.name}", at)
        for each in added:
            self._added(each, before, use, f"{where}.{each.name}", _at(at, each))

    def _both(self, old: FieldForm, new: FieldForm, use: Crossing, where: str, at: Written) -> None:
        if old.key != new.key:
            says = f"is {new.key!r} in JSON and was {old.key!r}"
            remedy = f"keep its name there: `{new.name}: … = msgspec.field(name={old.key!r})`"
            self.changes.add("field-renamed", where, says, remedy, ChangeKind.JSON, use=use, at=at)
        if old.name != new.name and use.given is not None:
            says = f"was {old.name!r} in Python"
            remedy = f"keep the name {old.name!r} for a release, or let its users change theirs with yours"
            self.changes.add("field-renamed", where, says, remedy, ChangeKind.SOURCE, use=use, at=at)
        if new.required and not old.required:
            self._required(new, use, where, at, "must be given now", complete=use.complete)
        elif use.old_writes and not use.complete and _means_another(old, new):
            says = f"its default was {old.default} and is {new.default}"
            remedy = "keep the default: a request that leaves it out would mean something else"
            self.changes.add("default-changed", where, says, remedy, ChangeKind.WIRE, ChangeKind.JSON, use=use, at=at)
        self.compare(old.type, new.type, use, where, at)

    def _removed(
        self, field: FieldForm, meant: FieldForm | None, after: MessageForm, use: Crossing, where: str, at: Written
    ) -> None:
        kinds = []
        # One that is left out is no loss that anybody notices; one that has another name now is.
        if (use.new_writes and field.required) or (use.old_writes and after.strict) or meant is not None:
            kinds.append(ChangeKind.JSON)
        if use.given is not None:
            kinds.append(ChangeKind.SOURCE)
        if not kinds:
            return
        remedy = "keep it: make it optional, let everybody stop using it, and remove it a release later"
        if meant is not None:
            remedy = f"if {meant.name!r} is its new name, keep the old in JSON: `msgspec.field(name={field.key!r})`"
        self.changes.add("field-removed", where, "is gone", remedy, *kinds, use=use, at=at)

    def _added(self, field: FieldForm, before: MessageForm, use: Crossing, where: str, at: Written) -> None:
        if field.required:
            self._required(field, use, where, at, "is new and must be given", complete=False)
        if before.strict and use.new_writes:
            remedy = "let readers allow unknown fields first: without `forbid_unknown_fields`"
            says = "is new, and older readers refuse unknown fields"
            self.changes.add("field-added", where, says, remedy, ChangeKind.JSON, use=use, at=at)

    def _required(self, field: FieldForm, use: Crossing, where: str, at: Written, says: str, *, complete: bool) -> None:
        kinds = []
        if use.old_writes and not complete:
            kinds.append(ChangeKind.JSON)
            if not _has_zero(field.type):
                kinds.append(ChangeKind.WIRE)
        if use.given is True:
            kinds.append(ChangeKind.SOURCE)
        if kinds:
            remedy = f"give it a default that means what was meant without it: `{field.name}: … = …`"
            self.changes.add("field-required", where, says, remedy, *kinds, use=use, at=at)


def _means_another(old: FieldForm, new: FieldForm) -> bool:
    """Whether a request that leaves the field out means something else than before."""
    both_optional = not (old.required or new.required)
    return both_optional and old.type == new.type and old.default != new.default


def _has_zero(shape: TypeShape) -> bool:
    return shape.kind in ZEROS


def _paired(
    olds: Iterable[FieldForm], news: Iterable[FieldForm]
) -> tuple[list[tuple[FieldForm, FieldForm]], list[FieldForm], list[FieldForm]]:
    """Fields that are the same, by their names in JSON or else in Python; those that are gone; those that are new."""
    left = {each.key: each for each in news}
    pairs, gone = [], []
    for old in olds:
        if old.key in left:
            pairs.append((old, left.pop(old.key)))
        else:
            gone.append(old)
    by_name = {each.name: each for each in left.values()}
    removed = []
    for old in gone:
        if old.name in by_name:
            new = by_name[old.name]
            pairs.append((old, left.pop(new.key)))
        else:
            removed.append(old)
    return pairs, removed, list(left.values())


def _meant(field: FieldForm, olds: Sequence[FieldForm], news: Sequence[FieldForm]) -> FieldForm | None:
    """The field that may be another's new name: the one of its type that stands in its place."""
    place = [each.key for each in olds].index(field.key)
    return news[place] if place < len(news) and news[place].type == field.type else None


def _at(message: Written, field: FieldForm) -> Written:
    """Where a field is written, or else its message."""
    return msgspec.structs.replace(message, line=field.line) if field.line and message.file else message
