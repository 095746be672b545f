"""Replies for clients whose classes are made from the `.proto`: JSON as the ProtoJSON mapping has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args, get_origin

import msgspec

from meristem.contracts.codec import encode
from meristem.contracts.pertype import PerType
from meristem.contracts.protobuf.shapes import reply_struct
from meristem.contracts.protokinds import SIGNED_32, UNSIGNED_32, FieldMask, is_open_enum, proto_type, value_name
from meristem.contracts.wiretypes import (
    COLLECTIONS,
    camel,
    choices_of,
    fields_of,
    is_any_json,
    is_choice,
    is_fixed_tuple,
    is_union,
    peel,
    snake,
    struct_of,
    unwrap,
    word,
)

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation

Change: TypeAlias = Callable[[Any], Any]
AS_NUMBERS: Final = (*SIGNED_32, *UNSIGNED_32)


class ProtoReplies:
    """Brings the JSON of an operation's replies into the shape of ProtoJSON."""

    def __init__(self, operation: Operation) -> None:
        changes = _Changes()
        self._change = changes.of(reply_struct(operation))
        self._reshapes = changes.reshape

    def json(self, body: bytes) -> bytes:
        """A reply's JSON in that shape."""
        return encode(self._change(msgspec.json.decode(body))) if self._reshapes else body


class _Changes(PerType[Change]):
    """Changes decoded JSON, type by type; `reshape` tells whether anything but names is changed."""

    def __init__(self) -> None:
        super().__init__()
        self.reshape = False

    def of(self, type_: Any) -> Change:
        bare, extras = peel(type_)
        if bare is int:
            # ProtoJSON writes an int64 as text, because numbers of JavaScript are exact to 53 bits only.
            return _same if proto_type(extras) in AS_NUMBERS else self._reshaping(str)
        return super().of(type_)

    def _reshaping(self, change: Change) -> Change:
        self.reshape = True
        return change

    def build(self, type_: Any) -> Change:
        if type_ is FieldMask:
            return self._reshaping(lambda value: ",".join(camel(each) for each in value["paths"]))
        if struct_of(type_) is not None:
            return self._struct(type_)
        if type_ is timedelta:
            return self._reshaping(_seconds)
        if is_choice(type_):
            return self._enum(type_)
        if is_union(type_):
            return self._union([each for each in get_args(type_) if each is not type(None)])
        return self._collection(type_) if get_args(type_) else _same

    def single(self, type_: Any) -> Change:
        """The change of a value inside a collection or oneof, where a collection has a message around it."""
        inner = self.of(type_)
        bare = unwrap(type_)
        if not _is_repeated(bare) or is_any_json(type_):
            return inner
        return self._reshaping(lambda value: {"values": inner(value)})

    def _struct(self, type_: Any) -> Change:
        known = fields_of(type_)
        changes = {each.encode_name: self.of(each.type) for each in known}
        # None is left out, but where that would be read as the default
        told = {each.encode_name for each in known if each.default is not None and not each.required}

        def change(value: Any) -> Any:
            found = {}
            for name, inner in changes.items():
                if (given := value.get(name)) is not None:
                    found[name] = inner(given)
                elif name in told and name in value:
                    found[name] = None
            return found

        return change

    def _enum(self, type_: Any) -> Change:
        if is_open_enum(type_):
            names = {each.value: value_name(each.name) for each in type_}
            return self._reshaping(lambda value: names.get(value, value))
        values = [each for each in choices_of(type_) if each is not None]
        return _same if all(isinstance(each, str) for each in values) else self._reshaping(str)

    def _union(self, members: list[Any]) -> Change:
        if len(members) == 1:
            return self.single(members[0])
        changes = {snake(word(each)): (unwrap(each), self.single(each)) for each in members}

        def change(value: Any) -> Any:
            found = next(((name, inner) for name, (type_, inner) in changes.items() if _is_of(value, type_)), None)
            return value if found is None else {found[0]: found[1](value)}

        return self._reshaping(change)

    def _collection(self, type_: Any) -> Change:
        origin, arguments = get_origin(type_), get_args(type_)
        if is_fixed_tuple(type_):
            places = {f"place_{number}": self.of(each) for number, each in enumerate(arguments, 1)}
            return self._reshaping(
                lambda value: {
                    name: inner(each)
                    for (name, inner), each in zip(places.items(), value, strict=True)
                    if each is not None
                }
            )
        inner = self.single(arguments[-1] if origin is dict else arguments[0])
        if inner is _same:
            return _same
        if origin is dict:
            return lambda value: {key: inner(item) for key, item in value.items()}
        return lambda value: [inner(item) for item in value]


def _is_repeated(bare: Any) -> bool:
    return get_origin(bare) in (*COLLECTIONS, dict) and not is_fixed_tuple(bare)


def _same(value: Any) -> Any:
    return value


def _seconds(value: str) -> str:
    # In whole numbers: the seconds of a long duration as a float have no room for microseconds.
    micros = msgspec.convert(value, timedelta) // timedelta(microseconds=1)
    whole, part = divmod(abs(micros), 1_000_000)
    return f"{'-' if micros < 0 else ''}{whole}.{part:06}s"


def _is_of(value: Any, type_: Any) -> bool:
    if (struct := struct_of(type_)) is not None:
        config = struct.__struct_config__
        return isinstance(value, dict) and (config.tag is None or value.get(config.tag_field) == config.tag)
    if get_origin(type_) is dict:
        return isinstance(value, dict)
    if get_origin(type_) in COLLECTIONS:
        return isinstance(value, list)
    if type_ in (bool, int, float):
        return type(value) is type_
    return isinstance(value, str) or (get_origin(type_) is Literal and value in get_args(type_))
