"""The bounds of a Decimal and its digits, which msgspec does not know."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from meristem.contracts.wiretypes import parts_of, peel


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
