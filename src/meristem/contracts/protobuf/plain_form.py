"""From a parsed message of protobuf to decoded JSON, of which msgspec says what is wrong with it, field by field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

from meristem.contracts.protobuf.clocks import read_duration, read_timestamp
from meristem.contracts.protobuf.json_values import READ
from meristem.contracts.protokinds import WRAPPERS, proto_type
from meristem.contracts.wiretypes import (
    COLLECTIONS,
    choices_of,
    fields_of,
    is_fixed_tuple,
    is_union,
    nullable,
    peel,
    snake,
    struct_of,
    word,
)

if TYPE_CHECKING:
    from meristem.contracts.protobuf.shapes import ProtoSchema

Read: TypeAlias = Callable[[Any], Any]


def known_values(type_: Any) -> dict[Any, Any]:
    """What stands for the values of an Enum or Literal in protobuf, each with its value."""
    literal = get_origin(type_) is Literal
    values = {each: each for each in get_args(type_)} if literal else {each.value: each for each in type_}
    values.pop(None, None)
    if all(isinstance(each, int) for each in values):
        return values
    # A text that reads like a number is the text.
    return {str(each): member for each, member in values.items()} | {
        each: member for each, member in values.items() if isinstance(each, str)
    }


def without_none(type_: Any) -> Any:
    """The type of a value that is there; what was said of the whole is said of it."""
    bare, extras = peel(type_)
    if is_union(bare):
        bare = Union[tuple(each for each in get_args(bare) if each is not type(None))]  # noqa: UP007 - of a tuple
    elif get_origin(bare) is Literal and None in get_args(bare):
        bare = Literal[tuple(each for each in get_args(bare) if each is not None)]
    for each in extras:
        bare = Annotated[bare, each]
    return bare


class Plainly:
    """Makes decoded JSON out of a parsed message, for msgspec to say what is wrong with it."""

    def __init__(self, schema: ProtoSchema) -> None:
        self.schema = schema
        self._made: dict[Any, Read] = {}

    def of(self, type_: Any) -> Read:
        """The function for a single value of a type."""
        key = repr(type_)
        if key not in self._made:
            # stands in while a type that holds itself is built
            self._made[key] = lambda value: self._made[key](value)  # noqa: PLW0108 - another one by then
            self._made[key] = self._build(type_)
        return self._made[key]

    def _build(self, type_: Any) -> Read:
        bare, extras = peel(type_)
        named = proto_type(extras) or ""
        if named in READ:
            return READ[named]
        if named in WRAPPERS:
            return lambda value: value.value
        if struct_of(bare) is not None:
            return self._struct(bare)
        if is_union(bare):
            return self._union(bare)
        if bare in LEAVES:
            return LEAVES[bare]
        return self._inside(bare)

    def _inside(self, bare: Any) -> Read:
        origin, arguments = get_origin(bare), get_args(bare)
        if origin is Literal:
            known = known_values(bare)
            return lambda value: known.get(value, value)
        if is_fixed_tuple(bare):
            shapes = [self.schema.shape(each) for each in arguments]
            places = [
                (f"place_{at}", self._present(f"place_{at}", shape.label, shape.type, each))
                for at, (each, shape) in enumerate(zip(arguments, shapes, strict=True), 1)
            ]
            return lambda value: [(read(value) or (None,))[0] for _, read in places]
        if origin in (*COLLECTIONS, dict):
            items = self._items(bare)
            return lambda value: items(value.values)
        return lambda value: value

    def _items(self, bare: Any) -> Read:
        inner = self.of(get_args(bare)[-1] if get_origin(bare) is dict else get_args(bare)[0])
        if get_origin(bare) is dict:
            return lambda value: {key: inner(item) for key, item in value.items()}
        return lambda value: [inner(item) for item in value]

    def _present(self, name: str, label: str, shape: str, type_: Any, *, oneof: bool = False) -> Read:
        """A function of the message: the field's value in a tuple; an empty one if it is left out."""
        if label == "repeated":
            items = self._items(peel(type_)[0])
            return lambda message: (items(getattr(message, name)),)
        told = oneof or label == "optional" or self.schema.is_message(shape)
        inner = self.of(without_none(type_) if told else type_)
        # "" is no Decimal and no date, so it is one that was left out; of an enum it may be a value.
        bare = peel(type_)[0]
        empty = shape == "string" and bare is not str and "" not in choices_of(bare)

        def present(message: Any) -> Any:
            value = getattr(message, name)
            if (told and not message.HasField(name)) or (empty and not told and value == ""):
                return ()
            return (inner(value),)

        return present

    def _struct(self, type_: Any) -> Read:
        config = (struct_of(type_) or type_).__struct_config__
        fields = self.schema.fields(type_)
        always = {} if config.tag_field is None else {config.tag_field: config.tag}
        readers = []
        for each in fields_of(type_):
            field = fields[each.encode_name]
            if each.required and nullable(each.type):
                always[each.encode_name] = None
            read = self._present(field.name, field.label, field.type, each.type, oneof=bool(field.oneof))
            readers.append((each.encode_name, read))
        return lambda message: always | {name: found[0] for name, read in readers if (found := read(message))}

    def _union(self, type_: Any) -> Read:
        readers = {snake(word(each)): self.of(each) for each in get_args(type_) if each is not type(None)}

        def read(message: Any) -> Any:
            name = message.WhichOneof("value")
            return readers[name](getattr(message, name)) if name in readers else None

        return read


def _clock(read: Read) -> Read:
    def reads(message: Any) -> Any:
        try:
            return read(message)
        except OverflowError:
            return f"{message.seconds}.{abs(message.nanos):09} seconds"  # which msgspec refuses by its field

    return reads


LEAVES: Final[dict[Any, Read]] = {
    datetime: _clock(read_timestamp),
    timedelta: _clock(read_duration),
    float: lambda value: value if isfinite(value) else str(value),
}
"""Values that msgspec must not see as they are: it would raise another error, or none."""
