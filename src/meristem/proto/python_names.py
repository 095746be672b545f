"""What the things of a `.proto` are called in Python, where a name of theirs means something else already."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from meristem.contracts.protokinds import OF_ENUMS
from meristem.errors import ConfigurationError
from meristem.proto.descriptor_tree import enums_of, messages_of

WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
OF_CONTRACTS: Final = frozenset(("client", "contract_name", "operation", "safe", "idempotent"))
"""What a contract has itself, and what stands above its methods."""


def module_name(path: str, *, alone: bool) -> str:
    """The module of a file; one that lies `alone`, in no package, must not stand in for one of Python's own."""
    stem = re.sub(r"\W", "_", path.rpartition("/")[2].removesuffix(".proto"))
    stem = f"_{stem}" if stem[:1].isdigit() else stem
    is_taken = keyword.iskeyword(stem) or (alone and stem in sys.stdlib_module_names)
    return f"{stem}_" if is_taken else stem


def defined_names(file: Any) -> Iterator[str]:
    """The names of all messages, enums and services of a file, at whatever depth; ConfigurationError for a bad one."""
    messages = [each for _, each in messages_of(file) if not each.options.map_entry]
    for each in (*messages, *(enum for _, enum in enums_of(file)), *file.service):
        if keyword.iskeyword(each.name) or each.name.startswith("__"):
            raise ConfigurationError(f"{file.name}: {each.name} can't be the name of a class in Python: rename it")
        yield each.name


def member_name(file: Any, enum: Any, name: str) -> str:
    """What a value of an enum is called, as `value_name` takes it back; ConfigurationError where nothing will do."""
    if name.startswith("__") or name[:1] == name[-1:] == "_":
        raise ConfigurationError(
            f"{file.name}: {name} of {enum.name} can't be a name in Python: rename it, as in {enum.name.upper()}_"
            f"{name.strip('_').upper() or 'NONE'}; binary protobuf knows its number alone"
        )
    return f"{name}_" if keyword.iskeyword(name) or name in OF_ENUMS else name


def field_names(message: Any, hidden: Collection[str]) -> dict[str, str]:
    """What each field of a message is called; `hidden` are names that its class needs for other things."""
    names = [each.name for each in message.field]
    return _apart({name: name.lstrip("_") if name.startswith("__") else name for name in names}, hidden)


def method_names(service: Any, hidden: Collection[str]) -> dict[str, str]:
    """What the method of each rpc of a service is called."""
    wanted = {each.name: WORDS.sub("_", each.name).lower().lstrip("_") for each in service.method}
    return _apart(wanted, OF_CONTRACTS | frozenset(hidden))


def _apart(wanted: dict[str, str], hidden: Iterable[str]) -> dict[str, str]:
    """Underscores behind what can't be called as it should. What is spelled as it was has its name before others."""
    taken = set(hidden)
    found: dict[str, str] = {}
    for name in sorted(wanted, key=lambda each: wanted[each] != each):
        given = wanted[name] or "_"
        while keyword.iskeyword(given) or given in taken or not given.isidentifier():
            given = f"{given}_" if given.isidentifier() else f"n{given}"
        taken.add(given)
        found[name] = given
    return {name: found[name] for name in wanted}
