"""Values between colocated services: checked and separated as a wire would, at nearly no cost.

For each type one function is generated. It hands a value on as it is when it is exactly what the type declares and
nothing in it can change; it rebuilds the mutable containers inside; and whatever else it meets (an int for a float,
a subclass, a broken constraint) makes the trip through the codec, so that the outcome is the wire's by construction.
"""

from __future__ import annotations

import re
import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

import msgspec

from meristem.contracts.codec import decoder, encode, refusal
from meristem.contracts.wiretypes import is_union
from meristem.errors import CallError, Code

if typing.TYPE_CHECKING:
    from collections.abc import Callable

ATOMS = (bool, bytes, Decimal, datetime, date, time, timedelta, UUID, type(None))
COMPARISONS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


class NotAsDeclaredError(Exception):
    """The value needs the trip through the codec."""


class Isolation(typing.NamedTuple):
    """What stands between colocated services: `admit` is for the request, `separate` for the reply."""

    admit: Callable[[Any], Any]
    separate: Callable[[Any], Any]


@cache
def isolator(type_: Any, refused: Callable[[CallError], CallError] | None = None) -> Callable[[Any], Any]:
    """A function that checks a value of `type_` and separates it from its giver.

    It raises CallError `invalid_argument` for a value that the wire would refuse, or what `refused` makes of that.
    """

    def slowly(value: Any) -> Any:
        try:
            return _through_codec(type_, value)
        except CallError as error:
            if refused is None:
                raise
            raise refused(error) from None

    return _Writer().isolator(type_, slowly)


def _through_codec(type_: Any, value: Any) -> Any:
    try:
        return decoder(type_)(encode(value))
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise refusal(error) from None
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise CallError(Code.INVALID_ARGUMENT, f"it cannot cross a wire: {error}", may_have_happened=False) from None


def _text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        return False
    return True


class _Writer:
    """Writes the source of one isolator and of the functions it needs.

    For `class Charge(Message): cents: Annotated[int, Meta(ge=1)]; notes: list[str]` that is

        def f1(v):
            if not (type(v) is str and (v.isascii() or text(v))): raise NotAsDeclaredError
            return v

        def f0(v):
            if type(v) is not list: raise NotAsDeclaredError
            v = [f1(x) for x in v]
            return v

        def isolate(v):
            given = v
            try:
                if not (type(v) is n3 and type(x := v.cents) is int and x >= 1): raise NotAsDeclaredError
                new_notes = f0(v.notes)
                v = n7(cents=v.cents, notes=new_notes)
                return v
            except NotAsDeclaredError:
                return slowly(given)

    where `n3` and `n7` are the message class, and each `f` is written for a type inside of it.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.names: dict[str, Any] = {"NotAsDeclaredError": NotAsDeclaredError, "text": _text}
        self.made: dict[Any, str] = {}

    def name(self, value: Any) -> str:
        label = f"n{len(self.names)}"
        self.names[label] = value
        return label

    def isolator(self, type_: Any, slowly: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The outermost function: what does not fit goes to `slowly`, by the codec."""
        self.names["slowly"] = slowly
        body = ["given = v", "try:", *("    " + line for line in self.body(type_)), "    return v"]
        self.define("isolate", [*body, "except NotAsDeclaredError:", "    return slowly(given)"], type_)
        return self.names["isolate"]  # type: ignore[no-any-return]

    def define(self, label: str, lines: list[str], type_: Any) -> None:
        text = "\n".join([f"def {label}(v):", *("    " + line for line in lines)])
        self.texts.append(text)
        exec(compile(text, f"<isolator of {type_}>", "exec"), self.names)  # noqa: S102 - own text

    def reference(self, type_: Any) -> str:
        """The name of the function for `type_`, generated on first use; a type may hold itself."""
        if type_ not in self.made:
            # Named before it is written: a type that holds itself refers to the name.
            label = f"f{len(self.made)}"
            self.made[type_] = label
            self.define(label, [*self.body(type_), "return v"], type_)
        return self.made[type_]

    def body(self, type_: Any, constraints: tuple[msgspec.Meta, ...] = ()) -> list[str]:
        """Statements that check `v` and rebind it where it must be rebuilt."""
        if get_origin(type_) is typing.Annotated:
            inner, *extras = get_args(type_)
            return self.body(inner, (*constraints, *(each for each in extras if isinstance(each, msgspec.Meta))))
        checks = self.checks(type_, constraints)
        if checks is not None:
            return [f"if not ({' and '.join(checks)}): raise NotAsDeclaredError"]
        if is_union(type_):
            return self.union(get_args(type_), constraints)
        if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            return self.struct(type_)
        return [*self.container(type_), *self.lengths(constraints)]

    def checks(
        self, type_: Any, constraints: tuple[msgspec.Meta, ...], given: str = "v", v: str = "v"
    ) -> list[str] | None:
        """Conditions under which an immutable value is as declared; None for a type that is no plain value.

        The first of them evaluates `given`; if that binds the name `v`, the others read it there.
        """
        # `type(v) is` and not `isinstance`: a subclass may carry state or behaviour that no wire would bring along.
        if type_ is str:
            return [f"type({given}) is str", f"({v}.isascii() or text({v}))", *self.limits(constraints, v)]
        if type_ is int:
            return [f"type({given}) is int", *self.limits(constraints, v)]
        if type_ is float:  # neither infinite nor NaN
            return [f"type({given}) is float", f"{v} - {v} == 0.0", *self.limits(constraints, v)]
        if type_ is None or type_ in ATOMS:
            wanted = type(None) if type_ is None else type_
            return [f"type({given}) is {self.name(wanted)}", *self.limits(constraints, v)]
        if get_origin(type_) is Literal:
            kinds = {(type(each), each) for each in get_args(type_)}
            return [f"(type({given}), {v}) in {self.name(kinds)}"]
        enum = isinstance(type_, type) and issubclass(type_, Enum)
        return [f"type({given}) is {self.name(type_)}"] if enum else None

    def limits(self, constraints: tuple[msgspec.Meta, ...], v: str = "v") -> list[str]:
        conditions: list[str] = []
        for meta in constraints:
            for attribute, sign in COMPARISONS.items():
                if (bound := getattr(meta, attribute)) is not None:
                    conditions.append(f"{v} {sign} {bound!r}")
            if meta.multiple_of is not None:
                conditions.append(f"{v} % {meta.multiple_of!r} == 0")
            if meta.min_length is not None:
                conditions.append(f"len({v}) >= {meta.min_length}")
            if meta.max_length is not None:
                conditions.append(f"len({v}) <= {meta.max_length}")
            if meta.pattern is not None:
                conditions.append(f"{self.name(re.compile(meta.pattern).search)}({v})")
            if meta.tz is not None:
                conditions.append(f"({v}.tzinfo is None) is {not meta.tz}")
        return conditions

    def lengths(self, constraints: tuple[msgspec.Meta, ...]) -> list[str]:
        limits = self.limits(constraints)
        return [f"if not ({' and '.join(limits)}): raise NotAsDeclaredError"] if limits else []

    def union(self, members: tuple[Any, ...], constraints: tuple[msgspec.Meta, ...]) -> list[str]:
        # No two members share a class, or the codec could not tell them apart: the exact class decides.
        some = [each for each in members if each is not type(None)]
        if len(some) == 1 and len(members) == 2:
            return ["if v is not None:", *("    " + line for line in self.body(some[0], constraints))]
        lines = []
        for keyword, member in zip(("if", *("elif",) * len(some)), some, strict=False):
            lines.append(f"{keyword} {self.membership(member)}: v = {self.reference(member)}(v)")
        lines.append(f"elif {'True' if len(some) == len(members) else 'v is not None'}: raise NotAsDeclaredError")
        return lines

    def membership(self, member: Any) -> str:
        if get_origin(member) is typing.Annotated:
            return self.membership(get_args(member)[0])
        if get_origin(member) is Literal:
            return f"v in {self.name(get_args(member))}"
        return f"type(v) is {self.name(get_origin(member) or member)}"

    def struct(self, type_: type[msgspec.Struct]) -> list[str]:
        """All plain fields are checked in one condition: this is most of what a call's messages are made of."""
        hints = typing.get_type_hints(type_, include_extras=True)
        conditions, calls, rebuilt = [f"type(v) is {self.name(type_)}"], [], []
        for field in type_.__struct_fields__:
            # A message is frozen, so it is handed on as it is, unless a container somewhere inside could be changed.
            if can_change(hints[field]):
                calls.append(f"new_{field} = {self.reference(hints[field])}(v.{field})")
                rebuilt.append(field)
            elif (plain := self.plain(hints[field], field)) is not None:
                conditions += plain
            else:
                calls.append(f"{self.reference(hints[field])}(v.{field})")
        lines = [f"if not ({' and '.join(conditions)}): raise NotAsDeclaredError", *calls]
        if rebuilt:
            values = [f"{each}={'new_' if each in rebuilt else 'v.'}{each}" for each in type_.__struct_fields__]
            lines.append(f"v = {self.name(type_)}({', '.join(values)})")
        return lines

    def plain(self, type_: Any, field: str) -> list[str] | None:
        """The conditions for a field of the struct `v` that holds a plain value; None if it holds another."""
        constraints: tuple[msgspec.Meta, ...] = ()
        while get_origin(type_) is typing.Annotated:
            type_, *extras = get_args(type_)
            constraints = (*constraints, *(each for each in extras if isinstance(each, msgspec.Meta)))
        if type_ is int and not self.limits(constraints):
            return [f"type(v.{field}) is int"]
        return self.checks(type_, constraints, f"x := v.{field}", "x")

    def container(self, type_: Any) -> list[str]:
        origin, arguments = get_origin(type_), get_args(type_)
        if origin is dict:
            key, value = (self.reference(each) for each in arguments)
            rebuilt = f"{{{key}(k): {value}(x) for k, x in v.items()}}"
        elif origin is tuple and arguments[-1:] != (Ellipsis,):
            parts = ", ".join(f"{self.reference(each)}(v[{place}])" for place, each in enumerate(arguments))
            return [
                f"if type(v) is not tuple or len(v) != {len(arguments)}: raise NotAsDeclaredError",
                f"v = ({parts}{',' if arguments else ''})",
            ]
        else:
            opening, closing = {list: ("[", "]"), set: ("{", "}")}.get(origin, (f"{origin.__name__}([", "])"))
            rebuilt = f"{opening}{self.reference(arguments[0])}(x) for x in v{closing}"
        return [f"if type(v) is not {origin.__name__}: raise NotAsDeclaredError", f"v = {rebuilt}"]


@cache
def can_change(type_: Any) -> bool:
    """Whether a value of the type may hold a container that can be changed."""
    return _can_change(type_, frozenset())


def _can_change(type_: Any, seen: frozenset[Any]) -> bool:
    origin = get_origin(type_)
    if origin is Literal or type_ in seen:  # a type that holds itself can change by what else is in it, or not at all
        return False
    if origin in (list, set, dict):
        return True
    if origin is not None:
        return any(_can_change(each, seen) for each in get_args(type_) if not isinstance(each, msgspec.Meta))
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        hints = typing.get_type_hints(type_, include_extras=True)
        return any(_can_change(hints[each], seen | {type_}) for each in type_.__struct_fields__)
    return False
