"""What msgspec does not check of a value: its decimals, numbers of 64 bits, and that one of a oneof is set."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias, get_args, get_origin

import msgspec

from meristem.contracts.decimals import DecimalMeta, problem_of
from meristem.contracts.pertype import PerType
from meristem.contracts.protokinds import UNSIGNED_64, oneof_of, oneofs_of, proto_type
from meristem.contracts.wiretypes import fields_of, is_fixed_tuple, is_union, parts_of, peel, struct_of

Check: TypeAlias = Callable[[Any, str], None]


def checker(type_: Any) -> Check | None:
    """Raises msgspec.ValidationError for what msgspec lets pass; None for a type that has nothing of the kind."""
    return _Checkers().of(type_) if is_checked(type_) else None


def is_checked(type_: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of the type may be wrong in a way that msgspec does not see."""
    bare, extras = peel(type_)
    if bare is Decimal or (bare is int and proto_type(extras) in UNSIGNED_64):
        return True
    if bare in seen:
        return False
    if struct_of(bare) is not None and any(oneof_of(each.type) for each in fields_of(bare)):
        return True
    return any(is_checked(each, seen | {bare}) for each in parts_of(bare))


class _Checkers(PerType[Check]):
    """Checks each Decimal, each large number and each oneof in a value."""

    def of(self, type_: Any) -> Check:
        bare, constraints = peel(type_)
        if bare is Decimal:
            return _decimal(constraints)
        return _unsigned if bare is int and proto_type(constraints) in UNSIGNED_64 else super().of(bare)

    def build(self, type_: Any) -> Check:
        cls = struct_of(type_)
        if cls is not None:
            return self.struct(cls, type_)
        if is_union(type_):
            return self.union([each for each in get_args(type_) if is_checked(each)])
        arguments = get_args(type_)
        if is_fixed_tuple(type_):
            places = [(at, self.of(each)) for at, each in enumerate(arguments) if is_checked(each)]
            return _places(places)
        if get_origin(type_) is dict:
            return self.mapping(*arguments)
        return _each(self.of(arguments[0]), iter, None)

    def mapping(self, key: Any, item: Any) -> Check:
        """A key may be a number without a sign, whatever stands behind it."""
        sides = [_each(self.of(key), iter, "[...]")] if is_checked(key) else []
        if is_checked(item):
            sides.append(_each(self.of(item), lambda value: value.values(), "[...]"))

        def check(value: Any, path: str) -> None:
            for each in sides:
                each(value, path)

        return check

    def struct(self, cls: type, type_: Any) -> Check:
        fields = [
            (each.name, f".{each.encode_name}", self.of(each.type))
            for each in fields_of(type_)
            if is_checked(each.type)
        ]
        groups = [[each.name for each in group] for group in oneofs_of(type_)]

        def check(value: Any, path: str) -> None:
            if type(value) is cls:
                for names in groups:
                    there = [name for name in names if getattr(value, name) is not None]
                    if len(there) > 1:
                        raise _wrong(f"Expected at most one of {', '.join(names)}, got {' and '.join(there)}", path)
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
            raise _wrong(problem, path)

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


def _unsigned(value: Any, path: str) -> None:
    if type(value) is int and value >= 2**64:
        raise _wrong("Expected `int` < 2**64", path)


def _wrong(problem: str, path: str) -> msgspec.ValidationError:
    return msgspec.ValidationError(f"{problem} - at `${path}`" if path else problem)
