"""What locks of contracts should hold: the numbers of today's fields, and of all that ever were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.protobuf.number_lock import Numbering, ProtoLock, lock_path
from meristem.contracts.protobuf.proto_files import files_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation


class LockChange(msgspec.Struct):
    """A lock as it is and as it should be, and what is new in it or removed from it."""

    path: Path
    before: ProtoLock
    after: ProtoLock
    told: list[str] = []

    def write(self) -> None:
        """Write the lock."""
        self.path.write_text(self.after.text())


def lock_changes(operations: Iterable[Operation]) -> list[LockChange]:
    """The locks of contracts that are not as they should be."""
    found: dict[Path, LockChange] = {}
    for file in files_of(operations):
        for message in file.messages.values():
            numbers = {each.name: each.number for each in message.fields}
            if (change := _change_of(found, message.module)) is not None and numbers:
                _follow(change, change.after.messages, message.name, numbers)
        for enum in file.enums.values():
            if (change := _change_of(found, enum.made_of.__module__)) is not None:
                _follow(change, change.after.enums, enum.name, enum.values)
    return [each for _, each in sorted(found.items()) if each.told]


def _change_of(found: dict[Path, LockChange], module: str) -> LockChange | None:
    path = lock_path(module)
    if path is None or "site-packages" in path.parts:  # what is installed is others' to keep
        return None
    if path not in found:
        lock = ProtoLock.load(path)
        after = ProtoLock(dict(lock.homes), dict(lock.messages), dict(lock.enums))
        found[path] = LockChange(path, lock, after)
    return found[path]


def _follow(change: LockChange, kept: dict[str, Numbering], name: str, numbers: dict[str, int]) -> None:
    before = kept.get(name, Numbering())
    kept[name] = before.follow(numbers)
    new = [each for each in numbers if each not in before.numbers]
    gone = [each for each in before.numbers if each not in numbers]
    if new:
        change.told.append(f"{name}: {', '.join(f'{each} = {numbers[each]}' for each in new)}")
    if gone:
        change.told.append(f"{name}: {', '.join(gone)} removed; never given again: " + _listed(before, gone))


def _listed(before: Numbering, names: list[str]) -> str:
    return ", ".join(str(before.numbers[each]) for each in names)
