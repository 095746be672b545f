"""Field numbers that are kept in `contracts.lock` beside the contracts, and never given twice.

A lock holds a section for each message, with a line for each field. A line that begins with `-` is what was removed:
its number and its name are reserved. A module that stands for a `.proto` of its own has a section, too.
"""

from __future__ import annotations

import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

FILE: Final = "contracts.lock"
HEAD: Final = (
    "# The numbers of protobuf's fields, kept by `meristem contracts lock`. What is removed stays, after a dash.\n"
)
BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
HELD_BACK: Final = range(19_000, 20_000)  # by protobuf itself (language guide, "Assigning Field Numbers")
MOST: Final = 1000  # of a range: one to the largest number stands for all that follow
LARGEST: Final = 2**29 - 1


class ProtoHome(msgspec.Struct, frozen=True):
    """The `.proto` file that a module's messages stand in, its package, and its options."""

    path: str
    package: str = ""
    options: tuple[tuple[str, str | bool], ...] = ()

    def full(self, name: str) -> str:
        """The name of a message with the package before it."""
        return f"{self.package}.{name}" if self.package else name


class Numbering(msgspec.Struct):
    """The numbers of a message's fields, or of an enum's values; what is reserved by number, range or name."""

    numbers: dict[str, int] = {}
    removed: dict[str, int | tuple[int, int]] = {}

    def assign(self, names: Iterable[str]) -> dict[str, int]:
        """A number for each name; one that has none yet gets the next that was never given."""
        taken = set(self.numbers.values())
        ranges = self.reserved_ranges()
        # Past everything that was ever there: a gap may be a number that was taken out of the lock by hand.
        following = max([0, *taken, *(end for start, end in ranges if end < LARGEST)]) + 1
        found = {}
        for name in names:
            if name in self.numbers:
                found[name] = self.numbers[name]
                continue
            while following in HELD_BACK or any(start <= following <= end for start, end in ranges):
                following += 1
            found[name] = following
            following += 1
        return found

    def reserved_ranges(self) -> list[tuple[int, int]]:
        """First and last number of what is reserved, in order; a name whose number is not known reserves none."""
        known = [number for name, number in self.removed.items() if number or name == "0"]
        return sorted({each if isinstance(each, tuple) else (each, each) for each in known})  # aliases share one

    def reserved_names(self, present: Container[str]) -> list[str]:
        """The names that are reserved, in order: of what was removed, and is not `present` under another number."""
        return sorted(name for name in self.removed if name not in present and name.isidentifier())

    def reserved(self) -> tuple[int, ...]:
        """The numbers that were given once and never will be again, those of ranges one by one."""
        found: set[int] = set()
        for start, end in self.reserved_ranges():
            found.update(range(start, min(end, start + MOST) + 1))
        return tuple(sorted(found - {0}))

    def follow(self, numbers: dict[str, int]) -> Numbering:
        """The entry of a message that has these fields now."""
        gone: dict[str, int | tuple[int, int]] = {
            name: number for name, number in self.numbers.items() if name not in numbers
        }
        return Numbering(dict(numbers), self.removed | gone)


class ProtoLock(msgspec.Struct):
    """What a lock says."""

    homes: dict[str, ProtoHome] = {}
    messages: dict[str, Numbering] = {}
    enums: dict[str, Numbering] = {}

    @classmethod
    def load(cls, path: Path) -> ProtoLock:
        """Read a lock; an empty one where there is no file. Raises ConfigurationError for a malformed one."""
        try:
            text = path.read_text()
        except FileNotFoundError:
            return cls()
        try:
            read = tomllib.loads(text)
            homes = {name: _home(section) for name, section in read.get("file", {}).items()}
            messages, enums = (
                {name: _entry(section, kind) for name, section in read.get(kind, {}).items()}
                for kind in ("message", "enum")
            )
        except (tomllib.TOMLDecodeError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise ConfigurationError(f"{path} is no lock of contracts: {error}; take it from version control") from None
        return cls(homes, messages, enums)

    def text(self) -> str:
        """The lock as it is written: by name, then by number, so that the same contracts give the same bytes."""
        lines = [HEAD]
        for name, home in sorted(self.homes.items()):
            lines += [f"[file.{_key(name)}]", f"path = {_quoted(home.path)}", f"package = {_quoted(home.package)}"]
            lines += [f"options.{_key(key)} = {_value(value)}" for key, value in home.options] + [""]
        for kind, entries in (("message", self.messages), ("enum", self.enums)):
            for name, entry in sorted(entries.items()):
                known = [(number, _key(field), number) for field, number in entry.numbers.items()]
                gone = [(_start(number), _key(f"-{field}"), number) for field, number in entry.removed.items()]
                lines.append(f"[{kind}.{_key(name)}]")
                lines += [
                    f"{key} = {_number(number)}" for _, key, number in sorted(known + gone, key=lambda each: each[:2])
                ]
                lines.append("")
        return "\n".join(lines)


def lock_path(module: str) -> Path | None:
    """Where the lock of a module's contracts is, or would be; None for a module without a file."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else Path(file).with_name(FILE)


def lock_of(module: str) -> ProtoLock:
    """The lock beside a module; an empty one where there is none."""
    path = lock_path(module)
    if path is None:
        return ProtoLock()
    try:
        found = path.stat()
    except OSError:  # it lies in an archive, or there is none
        return ProtoLock()
    return _loaded(path, found.st_mtime_ns, found.st_size)


@cache
def _loaded(path: Path, _changed: int, _size: int) -> ProtoLock:
    return ProtoLock.load(path)


def home_of(module: str) -> ProtoHome | None:
    """The `.proto` that a module stands for; None for one whose messages go where they are used."""
    return lock_of(module).homes.get(module.rpartition(".")[2])


def _home(section: dict[str, Any]) -> ProtoHome:
    return ProtoHome(str(section["path"]), str(section["package"]), tuple(sorted(section.get("options", {}).items())))


def _entry(section: dict[str, Any], kind: str) -> Numbering:
    entry = Numbering()
    for name, number in section.items():
        if name.startswith("-"):
            entry.removed[name[1:]] = (number[0], number[1]) if isinstance(number, list) else int(number)
        else:
            entry.numbers[name] = int(number)
    if kind == "message" and len(set(entry.numbers.values())) < len(entry.numbers):  # values of an enum may share one
        raise ValueError(f"two fields have one number among {', '.join(entry.numbers)}")
    return entry


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _value(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else _quoted(value)


def _start(number: int | tuple[int, int]) -> int:
    return number[0] if isinstance(number, tuple) else number


def _number(number: int | tuple[int, int]) -> str:
    return f"[{number[0]}, {number[1]}]" if isinstance(number, tuple) else str(number)
