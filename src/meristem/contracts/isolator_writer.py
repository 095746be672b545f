"""Writes the function that checks and separates the values of one type, and decides what of a type can change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin
from uuid import UUID

import msgspec

from meristem.contracts.codec import UNENCODABLE, encoder
from meristem.contracts.decimals import DecimalMeta
from meristem.contracts.generating import GeneratedSource, UnfitError, many_of
from meristem.contracts.protokinds import oneofs_of
from meristem.contracts.wiretypes import fields_of, is_fixed_tuple, is_union, parts_of, peel, struct_of, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable

ATOMS: Final = (bool, bytes, Decimal, datetime, date, time, timedelta, UUID, type(None))
BIG: Final = 2**63


def _moment(value: datetime) -> bool:
    """Whether a datetime is one that a wire would bring: its zone an offset in minutes, without a name or a fold."""
    zone = value.tzinfo
    return value.fold == 0 and (zone is None or zone is UTC or _is_offset(zone))


def _clock(value: time) -> bool:
    zone = value.tzinfo
    return value.fold == 0 and (zone is None or zone is UTC or _is_offset(zone))


def _is_offset(zone: tzinfo) -> bool:
    if type(zone) is not timezone or len(zone.__getinitargs__()) != 1:  # type: ignore[attr-defined]
        return False  # one with a name, or of another class
    return not zone.utcoffset(None) % timedelta(minutes=1)


def _text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        return False
    return True


def _apart(value: Any) -> Any:
    """Any JSON, as a wire would bring it."""
    try:
        return msgspec.json.decode(encoder(Any)(value))
    except UNENCODABLE:
        raise UnfitError from None


class IsolatorWriter(GeneratedSource):
    """Writes the source of one isolator and of the functions it needs.

    For `class Charge(Message): sum: Annotated[int, Meta(ge=1)]; notes: list[str]` that is

        def f1(v):
            if not (type(v) is str and (v.isascii() or text(v))): raise UnfitError
            return v

        def f0(v):
            if type(v) is not list: raise UnfitError
            v = [f1(x) for x in v]
            return v

        def isolate(v):
            given = v
            try:
                if not (type(v) is n5 and type(x := v.sum) is int and -BIG <= x < BIG and x >= 1): raise UnfitError
                new_notes = f0(v.notes)
                v = n9(sum=v.sum, notes=new_notes)
                return v
            except UnfitError:
                return slowly(given)

    where `n5` and `n9` are the message class, and each `f` is written for a type inside of it.
    """

    def __init__(self) -> None:
        super().__init__("isolator", UnfitError=UnfitError, text=_text, BIG=BIG, apart=_apart)
        self.made: dict[Any, str] = {}

    def isolator(self, type_: Any, slowly: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The outermost function: what does not fit goes to `slowly`, by the codec."""
        self.names["slowly"] = slowly
        body = ["given = v", "try:", *("    " + line for line in self.body(type_)), "    return v"]
        self.define("isolate", "v", [*body, "except UnfitError:", "    return slowly(given)"], type_)
        return self.names["isolate"]  # type: ignore[no-any-return]

    def reference(self, type_: Any) -> str:
        """The name of the function for `type_`, generated on first use; a type may hold itself."""
        if type_ not in self.made:
            # Named before it is written: a type that holds itself refers to the name.
            label = f"f{len(self.made)}"
            self.made[type_] = label
            self.define(label, "v", [*self.body(type_), "return v"], type_)
        return self.made[type_]

    def body(self, type_: Any, constraints: tuple[Any, ...] = ()) -> list[str]:
        """Statements that check `v` and rebind it where it must be rebuilt."""
        type_, extras = peel(type_)
        constraints = (*constraints, *extras)
        checks = self.checks(type_, constraints)
        if checks is not None:
            return [f"if not ({' and '.join(checks)}): raise UnfitError"]
        if type_ is Any:
            return ["v = apart(v)"]
        if is_union(type_):
            return self.union(get_args(type_), constraints)
        if (cls := struct_of(type_)) is not None:
            return self.struct(type_, cls)
        return [*self.container(type_), *self.lengths(constraints)]

    def checks(self, type_: Any, constraints: tuple[Any, ...], given: str = "v", v: str = "v") -> list[str] | None:
        """Conditions under which an immutable value is as declared; None for a type that is no plain value.

        The first of them evaluates `given`; if that binds the name `v`, the others read it there.
        """
        # `type(v) is` and not `isinstance`: a subclass may carry state or behaviour that no wire would bring along.
        if type_ is str:
            return [f"type({given}) is str", f"({v}.isascii() or text({v}))", *self.limits(constraints, v)]
        if type_ is int:
            limits = self.limits(constraints, v)
            # where an integer has bounds, msgspec reads none beyond 64 bits
            return [f"type({given}) is int", *([f"-BIG <= {v} < BIG"] if limits else []), *limits]
        if type_ is float:  # neither infinite nor NaN
            return [f"type({given}) is float", f"{v} - {v} == 0.0", *self.limits(constraints, v)]
        if type_ is None or type_ in ATOMS:
            wanted = type(None) if type_ is None else type_
            return [f"type({given}) is {self.name(wanted)}", *self.exactness(type_, constraints, v)]
        if get_origin(type_) is Literal:
            kinds = {(type(each), each) for each in get_args(type_)}
            known = self.name({type(each) for each in get_args(type_)})  # asked first: another may have no hash
            return [f"type({given}) in {known}", f"(type({v}), {v}) in {self.name(kinds)}"]
        enum = isinstance(type_, type) and issubclass(type_, Enum)
        return [f"type({given}) is {self.name(type_)}"] if enum else None

    def exactness(self, type_: Any, constraints: tuple[Any, ...], v: str) -> list[str]:
        """What more must be true of a value of the class, so that a wire would bring it as it is."""
        if type_ is Decimal:
            metas = [each for each in constraints if isinstance(each, DecimalMeta)]
            return [f"{v}.is_finite()", *(f"{self.name(each)}.problem({v}) is None" for each in metas)]
        plain = {datetime: _moment, time: _clock}.get(type_)
        return [*([] if plain is None else [f"{self.name(plain)}({v})"]), *self.limits(constraints, v)]

    def lengths(self, constraints: tuple[Any, ...]) -> list[str]:
        limits = self.limits(constraints)
        return [f"if not ({' and '.join(limits)}): raise UnfitError"] if limits else []

    def union(self, members: tuple[Any, ...], constraints: tuple[Any, ...]) -> list[str]:
        # No two members share a class, or the codec could not tell them apart: the exact class decides.
        some = [each for each in members if each is not type(None)]
        if len(some) == 1 and len(members) == 2:
            return ["if v is not None:", *("    " + line for line in self.body(some[0], constraints))]
        lines = []
        for keyword, member in zip(("if", *("elif",) * len(some)), some, strict=False):
            lines.append(f"{keyword} {self.membership(member)}: v = {self.reference(member)}(v)")
        lines.append(f"elif {'True' if len(some) == len(members) else 'v is not None'}: raise UnfitError")
        return lines

    def membership(self, member: Any) -> str:
        member = unwrap(member)
        if get_origin(member) is Literal:
            return f"v in {self.name(get_args(member))}"
        return f"type(v) is {self.name(get_origin(member) or member)}"

    def struct(self, type_: Any, cls: type[msgspec.Struct]) -> list[str]:
        """All plain fields are checked in one condition: this is most of what a call's messages are made of."""
        hints = {each.name: each.type for each in fields_of(type_)}
        conditions, calls, rebuilt = [f"type(v) is {self.name(cls)}"], [], []
        for field in cls.__struct_fields__:
            # A message is frozen, so it is handed on as it is, unless a container somewhere inside could be changed.
            if can_change(hints[field]):
                calls.append(f"new_{field} = {self.reference(hints[field])}(v.{field})")
                rebuilt.append(field)
            elif (plain := self.plain(hints[field], field)) is not None:
                conditions += plain
            else:
                calls.append(f"{self.reference(hints[field])}(v.{field})")
        conditions += [f"{many_of(group)} <= 1" for group in oneofs_of(type_)]
        lines = [f"if not ({' and '.join(conditions)}): raise UnfitError", *calls]
        if rebuilt or not cls.__struct_config__.frozen:
            values = [f"{each}={'new_' if each in rebuilt else 'v.'}{each}" for each in cls.__struct_fields__]
            lines.append(f"v = {self.name(cls)}({', '.join(values)})")
        return lines

    def plain(self, type_: Any, field: str) -> list[str] | None:
        """The conditions for a field of the struct `v` that holds a plain value; None if it holds another."""
        type_, constraints = peel(type_)
        if type_ is int and not self.limits(constraints):
            return [f"type(v.{field}) is int"]
        return self.checks(type_, constraints, f"x := v.{field}", "x")

    def container(self, type_: Any) -> list[str]:
        origin, arguments = get_origin(type_), get_args(type_)
        if origin is dict:
            key, value = (self.reference(each) for each in arguments)
            rebuilt = f"{{{key}(k): {value}(x) for k, x in v.items()}}"
        elif is_fixed_tuple(type_):
            parts = ", ".join(f"{self.reference(each)}(v[{place}])" for place, each in enumerate(arguments))
            return [
                f"if type(v) is not tuple or len(v) != {len(arguments)}: raise UnfitError",
                f"v = ({parts}{',' if arguments else ''})",
            ]
        else:
            opening, closing = {list: ("[", "]"), set: ("{", "}")}.get(origin, (f"{origin.__name__}([", "])"))
            rebuilt = f"{opening}{self.reference(arguments[0])}(x) for x in v{closing}"
        return [f"if type(v) is not {origin.__name__}: raise UnfitError", f"v = {rebuilt}"]


@cache
def can_change(type_: Any) -> bool:
    """Whether a value of the type may hold a container that can be changed."""
    return _can_change(type_, frozenset())


def _can_change(type_: Any, seen: frozenset[Any]) -> bool:
    type_ = unwrap(type_)
    origin = get_origin(type_)
    if origin is Literal or type_ in seen:  # a type that holds itself can change by what else is in it, or not at all
        return False
    if origin in (list, set, dict) or type_ is Any:
        return True
    if (cls := struct_of(type_)) is not None:
        if not cls.__struct_config__.frozen:
            return True
        seen |= {type_}
    return any(_can_change(each, seen) for each in parts_of(type_))
