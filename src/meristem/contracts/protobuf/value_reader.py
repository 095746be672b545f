"""From a parsed message of protobuf to the value that it stands for, by a function generated for its type.

For `class Charge(Message): amount: Annotated[int, Meta(ge=1)]; notes: list[str] = []; card: Card | None = None` it is

    def f0(m):
        v0 = m.amount
        if not (v0 >= 1): raise UnfitError
        v2 = f1(m.card) if m.HasField('card') else None
        return n5(amount=v0, notes=list(m.notes), card=v2)

with `f1` for `Card`. What does not fit is read once more by `Plainly`, whose errors name the field.
"""

from __future__ import annotations

import keyword
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin
from uuid import UUID

import msgspec

from meristem.contracts.codec import refusal
from meristem.contracts.costly import decimal, is_predictable, spread
from meristem.contracts.decimals import DecimalMeta
from meristem.contracts.depth import TooDeepError, check_depth, holds_itself
from meristem.contracts.generating import TypeFunctions, UnfitError
from meristem.contracts.protobuf.clocks import read_duration, read_timestamp
from meristem.contracts.protobuf.json_values import READ
from meristem.contracts.protobuf.plain_form import Plainly, Read, known_values, without_none
from meristem.contracts.protojson import fitting
from meristem.contracts.protokinds import GUARANTEED, WRAPPERS, is_open_enum, proto_type
from meristem.contracts.wiretypes import (
    COLLECTIONS,
    fields_of,
    is_choice,
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

FAULTS: Final = (UnfitError, msgspec.ValidationError, KeyError, ValueError, TypeError, ArithmeticError)
BY_TEXT: Final = (date, time, UUID)


def reader(schema: ProtoSchema, type_: Any) -> Read:
    """A function that makes a value of a message type out of a parsed message.

    It raises CallError `invalid_argument` that names the fields.
    """
    quickly: Read = _Reader(schema).function(type_)
    plainly, fits = Plainly(schema).of(type_), fitting(type_)

    def read(message: Any) -> Any:
        try:
            return quickly(message)
        except FAULTS:
            return fits(plainly(message))

    def read_within_depth(message: Any) -> Any:
        value = read(message)
        try:
            check_depth(value)
        except TooDeepError as error:
            raise refusal(error) from None
        return value

    return read_within_depth if holds_itself(type_) else read


class KnownMembers(dict[Any, Any]):
    """The members of an open enum by number; another number makes one of its own, which is not kept."""

    def __init__(self, type_: Any) -> None:
        super().__init__({each.value: each for each in type_})
        self._type = type_

    def __missing__(self, number: int) -> Any:
        return self._type(number)


def attribute(name: str) -> str:
    """A field of the message `m`, as Python reads it."""
    return f"getattr(m, {name!r})" if keyword.iskeyword(name) else f"m.{name}"


class _Reader(TypeFunctions):
    """Writes the functions for a schema's types."""

    def __init__(self, schema: ProtoSchema) -> None:
        super().__init__(
            "reader", "m", UnfitError=UnfitError, convert=msgspec.convert, moment=read_timestamp, span=read_duration,
            decimal=decimal, spread=spread,
        )  # fmt: skip
        self.schema = schema

    def body(self, type_: Any) -> list[str]:
        bare, _ = peel(type_)
        if (cls := struct_of(bare)) is not None:
            return self._struct(bare, cls)
        if is_union(bare):
            return self._union(get_args(bare))
        if is_fixed_tuple(bare):
            lines, found = [], []
            for at, each in enumerate(get_args(bare), 1):
                shape = self.schema.shape(each)
                more, value = self._field(f"place_{at}", shape.label, shape.type, each, f"v{at}", [])
                lines += more
                found.append(value)
            return [*lines, f"return ({', '.join(found)}{',' if found else ''})"]
        lines, value = self._repeated(type_, "m.values", "v")
        return [*lines, f"return {value}"]

    def _struct(self, type_: Any, cls: Any) -> list[str]:
        fields = self.schema.fields(type_)
        lines: list[str] = []
        arguments: list[str] = []
        groups = dict.fromkeys(each.oneof for each in fields.values() if each.oneof)
        lines.extend(f"w_{group} = m.WhichOneof({group!r})" for group in groups)
        for at, each in enumerate(fields_of(type_)):
            field = fields[each.encode_name]
            more, value = self._field(
                field.name, field.label, field.type, each.type, f"v{at}", self._absent(each), field.oneof
            )
            lines += more
            arguments.append(f"{each.name}={value}")
        return [*lines, f"return {self.name(cls)}({', '.join(arguments)})"]

    def _absent(self, field: msgspec.structs.FieldInfo) -> list[str]:
        """What stands for an absent field; nothing if it must not be absent."""
        if field.default is not msgspec.NODEFAULT:
            return [self.name(field.default)]
        if field.default_factory is not msgspec.NODEFAULT:
            return [f"{self.name(field.default_factory)}()"]
        return []

    def _field(
        self, name: str, label: str, shape: str, type_: Any, out: str, absent: list[str], oneof: str = ""
    ) -> tuple[list[str], str]:
        """The statements that read a field, and the expression of its value then."""
        v = attribute(name)
        if label == "repeated":
            return self._repeated(type_, v, out)
        if not oneof and label != "optional" and not self.schema.is_message(shape):
            return self._single(type_, v, out)
        lines, value = self._single(without_none(type_), v, out)
        there = f"w_{oneof} == {name!r}" if oneof else f"m.HasField({name!r})"
        otherwise = absent or (["None"] if nullable(type_) else [])
        if not lines and otherwise:
            return [f"{out} = {value} if {there} else {otherwise[0]}"], out
        kept = [] if value == out else [f"{out} = {value}"]
        last = f"    {out} = {otherwise[0]}" if otherwise else "    raise UnfitError"
        return [f"if {there}:", *("    " + line for line in [*lines, *kept]), "else:", last], out

    def _single(self, type_: Any, v: str, out: str) -> tuple[list[str], str]:
        """The statements that read a single value, and the expression of it then."""
        bare, extras = peel(type_)
        value, conditions = self._value(bare, extras, v, out)
        certain = GUARANTEED.get(proto_type(extras) or "")
        conditions += self.limits(tuple(each for each in extras if each is not certain), out)
        if not conditions:
            return [], value
        return [f"{out} = {value}", f"if not ({' and '.join(conditions)}): raise UnfitError"], out

    def _value(self, bare: Any, extras: tuple[Any, ...], v: str, out: str) -> tuple[str, list[str]]:
        """The expression of a value, and what must be true of it that no `Meta` says."""
        named = proto_type(extras) or ""
        if named in READ:
            return f"{self.name(READ[named])}({v})", []
        if named in WRAPPERS:
            v = f"{v}.value"
        if bare in (bool, int, str, bytes, float):
            return v, [f"{out} - {out} == 0.0"] if bare is float else []  # neither infinite nor NaN
        if bare is Decimal:
            metas = [each for each in extras if isinstance(each, DecimalMeta)]
            problems = [f"{self.name(each)}.problem({out}) is None" for each in metas]
            return f"decimal({v})", [f"{out}.is_finite()", *problems]
        if is_open_enum(bare):
            return f"{self.name(KnownMembers(bare))}[{v}]", []
        if is_choice(bare):
            return f"{self.name(known_values(bare))}[{v}]", []
        calls = {datetime: "moment({})", timedelta: "span({})"} | dict.fromkeys(
            BY_TEXT, f"convert({{}}, {self.name(bare)})"
        )
        return (calls[bare] if bare in calls else f"{self.reference(bare)}({{}})").format(v), []

    def _item(self, type_: Any, v: str) -> str:
        """The expression of a value inside of a collection."""
        lines, value = self._single(type_, v, "y")
        if not lines:
            return value
        lines, value = self._single(type_, "x", "y")
        label = f"i{len(self.names)}"
        self.define(label, "x", [*lines, f"return {value}"], type_)
        return f"{label}({v})"

    def _repeated(self, type_: Any, v: str, out: str) -> tuple[list[str], str]:
        bare, extras = peel(type_)
        origin, arguments = get_origin(bare), get_args(bare)
        crowds = origin in (set, frozenset, dict) and is_predictable(arguments[0])
        if origin is dict:
            key, item = self._item(arguments[0], "k"), self._item(arguments[1], "x")
            value = f"dict({v}.items())" if (key, item) == ("k", "x") else f"{{{key}: {item} for k, x in {v}.items()}}"
            if crowds:
                value = f"dict(zip(spread([{key} for k in {v}]), [{item} for x in {v}.values()]))"
        else:
            item = self._item(arguments[0], "x")
            if crowds:
                value = f"{origin.__name__}(spread([{item} for x in {v}]))"
            elif item == "x":
                value = f"{origin.__name__}({v})"
            else:
                opening, closing = {list: ("[", "]"), set: ("{", "}")}.get(origin, (f"{origin.__name__}([", "])"))
                value = f"{opening}{item} for x in {v}{closing}"
        conditions = self.limits(extras, out)
        if not conditions:
            return [], value
        return [f"{out} = {value}", f"if not ({' and '.join(conditions)}): raise UnfitError"], out

    def _union(self, members: tuple[Any, ...]) -> list[str]:
        lines = ["w = m.WhichOneof('value')"]
        for each in members:
            name = snake(word(each))
            if get_origin(peel(each)[0]) in (*COLLECTIONS, dict):
                more = [f"v = {self.reference(each)}({attribute(name)})"]
                value = "v"
            else:
                more, value = self._single(each, attribute(name), "v")
            lines += [f"if w == {name!r}:", *("    " + line for line in [*more, f"return {value}"])]
        return [*lines, "raise UnfitError"]
