"""What msgspec does not check of a Decimal: that it is a number, its bounds and its digits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias, get_args, get_origin

import msgspec

from meristem.contracts.pertype import PerType
from meristem.contracts.wiretypes import fields_of, is_union, parts_of, peel, struct_of

Check: TypeAlias = Callable[[Any, str], None]


class DecimalMeta(msgspec.Struct, frozen=True):
    """Constraints of a Decimal: `Annotated[Decimal, DecimalMeta(ge=0, max_digits=10, decimal_places=2)]`.

    `max_digits` counts all digits, those behind the point included, `decimal_places` those behind it alone.
    """

    ge: int | Decimal | None = None
    gt: int | Decimal | None = None
    le: int | Decimal | None = None
    lt: int | Decimal | None = None
    max_digits: int | None = None
    decimal_places: int | None = None

    def problem(self, value: Decimal) -> str | None:
        """Why a number does not fit; None for one that does."""
        for sign, bound, broken in (
            (">=", self.ge, self.ge is not None and value < self.ge),
            (">", self.gt, self.gt is not None and value <= self.gt),
            ("<=", self.le, self.le is not None and value > self.le),
            ("<", self.lt, self.lt is not None and value >= self.lt),
        ):
            if broken:
                return f"Expected `decimal` {sign} {bound}"
        _, digits, exponent = value.as_tuple()
        places = max(0, -int(exponent))
        if self.decimal_places is not None and places > self.decimal_places:
            return f"Expected `decimal` with at most {self.decimal_places} digits behind the point"
        # The zeros that are not written count as well: `1E+3` has four digits, and `0.001` three.
        if self.max_digits is not None and max(len(digits) + max(0, int(exponent)), places) > self.max_digits:
            return f"Expected `decimal` with at most {self.max_digits} digits"
        return None


def problem_of(value: Decimal, constraints: tuple[Any, ...]) -> str | None:
    """Why a Decimal does not fit; None for one that does."""
    if not value.is_finite():
        return "Expected `decimal` that is a number"
    metas = [each for each in constraints if isinstance(each, DecimalMeta)]
    return next((problem for each in metas if (problem := each.problem(value)) is not None), None)


def holds(type_: Any, leaves: tuple[Any, ...], seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of the type may have one of the `leaves` in it."""
    bare, _ = peel(type_)
    if bare in leaves:
        return True
    return bare not in seen and any(holds(each, leaves, seen | {bare}) for each in parts_of(bare))


def checker(type_: Any) -> Check | None:
    """A function that raises msgspec.ValidationError for a value with a wrong Decimal; None where there can be none."""
    return _Checkers().of(type_) if holds(type_, (Decimal,)) else None


class _Checkers(PerType[Check]):
    """Checks each Decimal in a value."""

    def of(self, type_: Any) -> Check:
        bare, constraints = peel(type_)
        return _decimal(constraints) if bare is Decimal else super().of(bare)

    def build(self, type_: Any) -> Check:
        cls = struct_of(type_)
        if cls is not None:
            return self.struct(cls, type_)
        if is_union(type_):
            return self.union([each for each in get_args(type_) if holds(each, (Decimal,))])
        arguments = get_args(type_)
        if get_origin(type_) is tuple and arguments[-1:] != (Ellipsis,):
            places = [(at, self.of(each)) for at, each in enumerate(arguments) if holds(each, (Decimal,))]
            return _places(places)
        if get_origin(type_) is dict:
            # Of the values alone: a key is never a Decimal (`wiretypes`).
            return _each(self.of(arguments[1]), lambda value: value.values(), "[...]")
        return _each(self.of(arguments[0]), iter, None)

    def struct(self, cls: type, type_: Any) -> Check:
        fields = [
            (each.name, f".{each.encode_name}", self.of(each.type))
            for each in fields_of(type_)
            if holds(each.type, (Decimal,))
        ]

        def check(value: Any, path: str) -> None:
            if type(value) is cls:
                for name, written, inner in fields:
                    inner(getattr(value, name), path + written)

        return check

    def union(self, members: list[Any]) -> Check:
        checks: dict[Any, Check] = {}
        for each in members:
            bare, _ = peel(each)
            checks[struct_of(bare) or get_origin(bare) or bare] = self.of(each)

        def check(value: Any, path: str) -> None:
            if (inner := checks.get(type(value))) is not None:
                inner(value, path)

        return check


def _decimal(constraints: tuple[Any, ...]) -> Check:
    metas = tuple(each for each in constraints if isinstance(each, DecimalMeta))

    def check(value: Any, path: str) -> None:
        if not metas and type(value) is Decimal and value.is_finite():
            return
        if type(value) is Decimal and (problem := problem_of(value, metas)) is not None:
            raise msgspec.ValidationError(f"{problem} - at `${path}`" if path else problem)

    return check


def _places(places: list[tuple[int, Check]]) -> Check:
    def check(value: Any, path: str) -> None:
        for at, inner in places:
            inner(value[at], f"{path}[{at}]")

    return check


def _each(inner: Check, parts: Callable[[Any], Any], written: str | None) -> Check:
    def check(value: Any, path: str) -> None:
        for at, part in enumerate(parts(value)):
            inner(part, path + (written or f"[{at}]"))

    return check
