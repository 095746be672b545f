"""What changed of types, from the places where values of them cross: plain types, enums, unions and collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.contracts.evolution.change import ChangeKind, ChangeList, Crossing
from meristem.contracts.evolution.readability import reads, shown, takes, within
from meristem.contracts.evolution.snapshot import ContractsSnapshot, EnumForm, TypeShape

if TYPE_CHECKING:
    from typing import Any

    from meristem.contracts.evolution.snapshot import Written

NEW_BESIDE_IT: Final = "keep the old type, and add what you need beside it: a new field with a default, a new operation"
READERS_FIRST: Final = (
    "let readers have the value first, or give the enum a `_missing_` that returns a member for values unknown to it"
)
VALUES: Final = ("enum", "literal")


class TypeChanges:
    """Compares types; what it finds is noted in `changes`."""

    def __init__(self, old: ContractsSnapshot, new: ContractsSnapshot, changes: ChangeList) -> None:
        self.old = old
        self.new = new
        self.changes = changes

    def messages(self, old: str, new: str, use: Crossing) -> None:
        """Compare two messages by their keys."""
        raise NotImplementedError

    def compare(self, old: TypeShape, new: TypeShape, use: Crossing, where: str, at: Written) -> None:
        """Compare two types at one place."""
        olds, news = _members(old), _members(new)
        self._nothing(old, new, use, where, at)
        if len(olds) == len(news) == 1:
            self._single(olds[0], news[0], use, where, at)
            return
        left = list(news)
        for each in olds:
            partner = next((other for other in left if self._same(each, other)), None)
            if partner is None:
                self._gone(each, new, use, where, at)
            else:
                left.remove(partner)
                self._single(each, partner, use, where, at)
        for each in left:
            self._come(each, old, use, where, at)

    def _nothing(self, old: TypeShape, new: TypeShape, use: Crossing, where: str, at: Written) -> None:
        was, is_ = _nullable(old), _nullable(new)
        if was == is_:
            return
        says = "may be None no longer" if was else "may be None now"
        remedy = "keep `| None`" if was else "give a value always, and keep the type without `| None`"
        kinds = _kinds(
            json=use.old_writes if was else use.new_writes, source=use.given is True if was else use.given is False
        )
        self.changes.add("type-changed", where, says, remedy, *kinds, use=use, at=at)

    def _single(self, old: TypeShape, new: TypeShape, use: Crossing, where: str, at: Written) -> None:
        if old.kind == new.kind == "message":
            self.messages(old.name, new.name, use)
        elif old.kind in VALUES and new.kind in VALUES:
            self._values(old, new, use, where, at)
        elif old.parts and len(old.parts) == len(new.parts) and reads(old.kind, new.kind):
            self._plain(old, new, use, where, at)
            for one, other in zip(old.parts, new.parts, strict=True):
                self.compare(one, other, use, f"{where}[]", at)
        else:
            self._plain(old, new, use, where, at)

    def _plain(self, old: TypeShape, new: TypeShape, use: Crossing, where: str, at: Written) -> None:
        kinds = _kinds(
            json=(use.old_writes and not self._reads(self.old, old, new))
            or (use.new_writes and not self._reads(self.new, new, old)),
            source=(use.given is True and not takes(_class(old), _class(new)))
            or (use.given is False and not takes(_class(new), _class(old))),
        )
        says = f"was {self.written(old)} and is {self.written(new)}"
        self.changes.add("type-changed", where, says, NEW_BESIDE_IT, *kinds, use=use, at=at)
        if not kinds and old.bounds != new.bounds and old.kind == new.kind:
            self._bounds(old, new, use, where, at)

    def _bounds(self, old: TypeShape, new: TypeShape, use: Crossing, where: str, at: Written) -> None:
        says = f"its bounds were {shown(old.bounds)} and are {shown(new.bounds)}"
        if use.old_writes and not within(old.bounds, new.bounds):
            # The service refuses a request however it was written; what is kept is JSON.
            kinds = [ChangeKind.JSON] if use.complete else [ChangeKind.WIRE, ChangeKind.JSON]
            remedy = "let what was allowed be allowed, or check it in the service and answer with a fault"
            self.changes.add("bounds-narrowed", where, says, remedy, *kinds, use=use, at=at)
        if use.new_writes and not within(new.bounds, old.bounds):
            remedy = "let readers have the wider bounds first, and answer within the old ones until they do"
            self.changes.add("bounds-widened", where, says, remedy, ChangeKind.JSON, use=use, at=at)

    def _values(self, old: TypeShape, new: TypeShape, use: Crossing, where: str, at: Written) -> None:
        """Compare enums and literals, which are values in JSON."""
        before, after = self._members_of(self.old, old), self._members_of(self.new, new)
        is_enum = old.kind == new.kind == "enum"
        if is_enum:
            was, is_ = self.old.enums[old.name], self.new.enums[new.name]
            where, at = is_.name, is_.source
            self.moved(was.source, at, was.name, use)
            self._names(was, is_, use)
        elif old.kind != new.kind and use.given is not None:
            says = f"was {self.written(old)} and is {self.written(new)}"
            self.changes.add("type-changed", where, says, NEW_BESIDE_IT, ChangeKind.SOURCE, use=use, at=at)
        checked = not is_enum  # a type checker reads the values of a Literal, and the names of an Enum
        for value in sorted(set(before.values()) - set(after.values()), key=str):
            says, remedy = f"has {value!r} no longer", "keep the value; refuse it in the service where it means nothing"
            kinds = _kinds(
                json=use.old_writes and not self._is_open(self.new, new), source=use.given is True and checked
            )
            self.changes.add("value-removed", where, says, remedy, *kinds, use=use, at=at)
        for value in sorted(set(after.values()) - set(before.values()), key=str):
            says = f"has {value!r} now, which older readers refuse"
            kinds = _kinds(
                json=use.new_writes and not self._is_open(self.old, old), source=use.given is False and checked
            )
            self.changes.add("value-added", where, says, READERS_FIRST, *kinds, use=use, at=at)

    def _names(self, old: EnumForm, new: EnumForm, use: Crossing) -> None:
        """Compare the names of an enum's members, which Python code uses."""
        for name in sorted(old.members.keys() - new.members.keys()):
            remedy = "keep the name: two names of one value are aliases in an Enum"
            kinds = _kinds(source=use.given is not None)
            self.changes.add("member-removed", new.name, f"has no {name}", remedy, *kinds, use=use, at=new.source)

    def moved(self, old: Written, new: Written, name: str, use: Crossing) -> None:
        """Note where a class cannot be imported by its old name any more."""
        if use.given is None or not old.names or old.names[0] in new.names:
            return
        module, _, attribute = old.names[0].partition(":")
        now = new.names[0].partition(":")[2] if new.names else "…"
        says = f"is no longer {attribute} of {module}"
        remedy = f"keep the name importable there: in {module}, `{attribute} = {now}`"
        self.changes.add("class-moved", name, says, remedy, ChangeKind.SOURCE, use=use, at=new)

    def _gone(self, member: TypeShape, whole: TypeShape, use: Crossing, where: str, at: Written) -> None:
        """A member of a union that is no longer one; another may be able to read it."""
        kinds = _kinds(
            json=use.old_writes and not any(self._reads(self.old, member, each) for each in _members(whole)),
            source=use.given is True and not any(takes(_class(member), _class(each)) for each in _members(whole)),
        )
        says = f"may be {self.written(member)} no longer"
        self.changes.add("type-changed", where, says, "keep it in the union", *kinds, use=use, at=at)

    def _come(self, member: TypeShape, whole: TypeShape, use: Crossing, where: str, at: Written) -> None:
        """A member of a union that is new."""
        kinds = _kinds(
            json=use.new_writes and not any(self._reads(self.new, member, each) for each in _members(whole)),
            source=use.given is False and not any(takes(_class(member), _class(each)) for each in _members(whole)),
        )
        says = f"may be {self.written(member)} now"
        self.changes.add("type-changed", where, says, NEW_BESIDE_IT, *kinds, use=use, at=at)

    def _same(self, old: TypeShape, new: TypeShape) -> bool:
        if old.kind == new.kind == "message":
            before, after = self.old.messages[old.name], self.new.messages[new.name]
            return before.tag == after.tag if before.tag is not None else before.name == after.name
        return old.kind == new.kind or (old.kind in VALUES and new.kind in VALUES)

    def _reads(self, snapshot: ContractsSnapshot, written: TypeShape, read: TypeShape) -> bool:
        """Whether values that one side writes can be read as a type of the other."""
        if written.kind == read.kind == "message":
            other = self.new if snapshot is self.old else self.old
            return snapshot.messages[written.name].tag == other.messages[read.name].tag
        kinds = {written.kind}
        if written.kind in VALUES:
            kinds = {type(each).__name__ for each in self._members_of(snapshot, written).values()}
        return all(reads(kind, read.kind) for kind in kinds)

    def _members_of(self, snapshot: ContractsSnapshot, shape: TypeShape) -> dict[str, Any]:
        if shape.kind == "enum":
            return snapshot.enums[shape.name].members
        return {str(each): each for each in shape.values if each is not None}

    @staticmethod
    def _is_open(snapshot: ContractsSnapshot, shape: TypeShape) -> bool:
        """Whether its readers have a member for values that they do not know."""
        found = snapshot.enums.get(shape.name)
        return found is not None and found.open

    def written(self, shape: TypeShape) -> str:
        """A type as it is written."""
        if shape.kind == "literal":
            return f"Literal[{', '.join(map(repr, shape.values))}]"
        if shape.kind == "union":
            return " | ".join(self.written(each) for each in shape.parts)
        name = {"none": "None", "places": "tuple"}.get(shape.kind, shape.kind)
        name = shape.name.partition(":")[2] or name
        return f"{name}[{', '.join(self.written(each) for each in shape.parts)}]" if shape.parts else name


def _kinds(*, json: bool = False, source: bool = False) -> list[ChangeKind]:
    return [kind for kind, breaks in ((ChangeKind.JSON, json), (ChangeKind.SOURCE, source)) if breaks]


def _class(shape: TypeShape) -> str:
    """What a type checker tells apart."""
    return shape.name or shape.kind


def _members(shape: TypeShape) -> list[TypeShape]:
    parts = shape.parts if shape.kind == "union" else (shape,)
    return [each for each in parts if each.kind != "none"]


def _nullable(shape: TypeShape) -> bool:
    parts = shape.parts if shape.kind == "union" else (shape,)
    return any(each.kind == "none" or None in each.values for each in parts)
