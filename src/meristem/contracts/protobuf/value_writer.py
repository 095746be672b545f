"""From a value to a message of protobuf, by a function generated for its type.

For `class Charge(Message): amount: int; notes: list[str] = []; card: Card | None = None` it is

    def f0(v, m):
        m.amount = v.amount
        m.notes.extend(v.notes)
        x = v.card
        if x is not None:
            t = m.card
            t.SetInParent()
            f1(x, t)

with `f1` for `Card`.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args, get_origin
from uuid import UUID

import msgspec

from meristem.contracts.depth import check_depth, holds_itself
from meristem.contracts.generating import TypeFunctions, many_of
from meristem.contracts.losses import mended
from meristem.contracts.protobuf.clocks import write_duration, write_timestamp
from meristem.contracts.protobuf.json_values import WRITE
from meristem.contracts.protobuf.plain_form import without_none
from meristem.contracts.protobuf.value_reader import attribute
from meristem.contracts.protokinds import WRAPPERS, is_open_enum, oneofs_of, proto_type
from meristem.contracts.wiretypes import (
    COLLECTIONS,
    choices_of,
    fields_of,
    is_any_json,
    is_fixed_tuple,
    is_union,
    nullable,
    peel,
    snake,
    struct_of,
    unwrap,
    word,
)

if TYPE_CHECKING:
    from meristem.contracts.protobuf.shapes import ProtoSchema

Write: TypeAlias = Callable[[Any, Any], None]
AS_IT_IS: Final = (bool, int, str, bytes)


def writer(schema: ProtoSchema, type_: Any) -> Write:
    """A function that fills a message with a value of a message type.

    It raises TypeError or ValueError for what has no form there.
    """
    quickly: Write = _Writer(schema).function(type_)
    deep = holds_itself(type_)

    def write(value: Any, message: Any) -> None:
        if deep:
            check_depth(value)
        try:
            quickly(value, message)
        except AttributeError as error:  # a value of another class, which a type checker would have told
            raise TypeError(f"{message.DESCRIPTOR.full_name}: {error}") from None

    return write


def _finite(value: float) -> float:
    if not isfinite(value):
        raise ValueError(f"{value} is no number")
    return value


def _text(value: Any) -> str:
    """A Decimal, date, time or UUID as JSON writes it."""
    if type(value) is Decimal and not value.is_finite():
        raise ValueError(f"{value} is no number")
    if type(value) is time:
        value = mended(value)
    text: str = msgspec.to_builtins(value)
    return text


class _Writer(TypeFunctions):
    """Writes the functions for a schema's types."""

    def __init__(self, schema: ProtoSchema) -> None:
        super().__init__("writer", "v, m", finite=_finite, text=_text, stamp=write_timestamp, span=write_duration)
        self.schema = schema

    def body(self, type_: Any) -> list[str]:
        bare, _ = peel(type_)
        if struct_of(bare) is not None:
            return self._struct(bare)
        if is_union(bare):
            return self._union(bare)
        if is_fixed_tuple(bare):
            places = enumerate(get_args(bare), 1)
            lines = [line for at, each in places for line in self._field(f"place_{at}", f"v[{at - 1}]", each)]
            return [f"if len(v) != {len(get_args(bare))}: raise ValueError(f'{{v!r}} is no {word(bare)}')", *lines]
        return self._repeated("values", "v", bare)

    def _struct(self, type_: Any) -> list[str]:
        fields = self.schema.fields(type_)
        lines = []
        for group in oneofs_of(type_):
            problem = f"at most one of {', '.join(each.name for each in group)} may be set"
            lines += [f"if {many_of(group)} > 1: raise ValueError({problem!r})"]
        for each in fields_of(type_):
            field = fields[each.encode_name]
            default = each.default if each.default is not msgspec.NODEFAULT else None
            if each.default_factory is not msgspec.NODEFAULT:
                default = each.default_factory()
            lost = nullable(each.type) and not each.required and default is not None
            more = self._field(field.name, f"v.{each.name}", each.type)
            if lost:
                problem = f"{field.name} cannot be None: left out, it would be read as {default!r}"
                more += ["else:", f"    raise ValueError({problem!r})"]
            lines += more
        return lines

    def _field(self, name: str, v: str, type_: Any) -> list[str]:
        """The statements that write a field."""
        if nullable(type_):
            some = without_none(type_)
            inner = self._around(name, "x", some) if _is_collection(some) else self._field(name, "x", some)
            return [f"x = {v}", "if x is not None:", *("    " + line for line in inner)]
        bare, _ = peel(type_)
        if self.schema.shape(type_).label == "repeated":
            return self._repeated(name, v, bare)
        if (fill := self._fill(type_)) is not None:
            return [f"t = {attribute(name)}", "t.SetInParent()", fill.format(v=v, t="t")]
        if bare is float:
            return [f"y = {v}", "if y - y != 0.0: finite(y)", f"m.{name} = y"]
        value = self._value(type_, v)
        return [f"setattr(m, {name!r}, {value})" if keyword.iskeyword(name) else f"m.{name} = {value}"]

    def _fill(self, type_: Any) -> str | None:
        """The statement that fills a message `t` with a value `v`; None for a type that is no message."""
        bare, extras = peel(type_)
        named = proto_type(extras) or ""
        if named in WRITE:
            return f"{self.name(WRITE[named])}({{v}}, {{t}})"
        if named in WRAPPERS:
            return f"{{t}}.value = {self._value(type_, '{v}')}"
        if bare in (datetime, timedelta):
            return f"{'stamp' if bare is datetime else 'span'}({{v}}, {{t}})"
        if struct_of(bare) is not None or is_union(bare) or _is_collection(bare):
            return f"{self.reference(bare)}({{v}}, {{t}})"
        return None

    def _value(self, type_: Any, v: str) -> str:
        """The expression of what stands for a value that is no message."""
        bare, _ = peel(type_)
        if bare is float:
            return f"finite({v})"
        if bare in AS_IT_IS:
            return v
        if bare in (Decimal, date, time, UUID):
            return f"text({v})"
        held = v if get_origin(bare) is Literal else f"{v}._value_"
        return f"str({held})" if not is_open_enum(bare) and _are_mixed(choices_of(bare)) else held

    def _repeated(self, name: str, v: str, bare: Any) -> list[str]:
        field = attribute(name)
        if get_origin(bare) is dict:
            key_type, item_type = get_args(bare)
            key = self._value(key_type, "k")
            if (fill := self._fill(item_type)) is not None:
                return [f"t = {field}", f"for k, x in {v}.items(): {fill.format(v='x', t=f't[{key}]')}"]
            return [f"t = {field}", f"for k, x in {v}.items(): t[{key}] = {self._value(item_type, 'x')}"]
        item_type = get_args(bare)[0]
        if (fill := self._fill(item_type)) is not None:
            return [f"add = {field}.add", f"for x in {v}: {fill.format(v='x', t='add()')}"]
        item = self._value(item_type, "x")
        return [f"{field}.extend({v if item == 'x' else f'[{item} for x in {v}]'})"]

    def _around(self, name: str, v: str, type_: Any) -> list[str]:
        """The statements that write a collection with a message around it."""
        return [f"t = {attribute(name)}", "t.SetInParent()", f"{self.reference(unwrap(type_))}({v}, t)"]

    def _union(self, type_: Any) -> list[str]:
        lines = ["k = type(v)"]
        for each in get_args(type_):
            name, bare = snake(word(each)), unwrap(each)
            inner = self._around(name, "v", bare) if _is_collection(bare) else self._field(name, "v", each)
            lines += [f"if {self._is_of(bare)}:", *("    " + line for line in [*inner, "return"])]
        return [*lines, f"raise TypeError(f'{{v!r}} is none of {str(type_).replace(chr(39), '')}')"]

    def _is_of(self, type_: Any) -> str:
        if get_origin(type_) is Literal:
            return f"k in {self.name({type(each) for each in get_args(type_)})} and v in {self.name(get_args(type_))}"
        return f"k is {self.name(struct_of(type_) or get_origin(type_) or type_)}"


def _is_collection(type_: Any) -> bool:
    return get_origin(unwrap(type_)) in (*COLLECTIONS, dict) and not is_any_json(type_)


def _are_mixed(values: Any) -> bool:
    known = [each for each in values if each is not None]
    return not all(isinstance(each, int) for each in known) and not all(isinstance(each, str) for each in known)
