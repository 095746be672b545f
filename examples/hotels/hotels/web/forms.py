"""Reads what a visitor typed: checked by the contracts' own types, explained in the visitor's words."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_type_hints
from uuid import uuid4

import msgspec

from hotels.contracts.rooms import Guests, Nights
from meristem import CallError

DEFAULT_LEAD = timedelta(days=14)
FURTHEST = timedelta(days=730)


class Form:
    """The fields of a form, what they were understood as, and what is wrong with them."""

    def __init__(self, sent: Mapping[str, str] | None = None) -> None:
        self.sent = dict(sent or {})
        self.errors: dict[str, str] = {}

    def shown(self, name: str) -> str:
        """What the field shows when the form is rendered again."""
        return self.sent.get(name, "")

    def take(self, name: str, kind: Any, problem: str, *, clean: Callable[[str], str] = str.strip) -> Any:
        """The field as `kind`; None, and `problem` beside the field, if it is not one."""
        try:
            return msgspec.convert(clean(self.sent.get(name, "")), kind, strict=False)
        except msgspec.ValidationError:
            self.errors[name] = problem
            return None

    def build(self, message: type[Any], problems: Mapping[str, str], **clean: Callable[[str], str]) -> Any:
        """A message of the contract from fields of the same names; None if one of them is wrong."""
        hints = get_type_hints(message, include_extras=True)
        values = {
            name: self.take(name, hints[name], problem, clean=clean.get(name, str.strip))
            for name, problem in problems.items()
        }
        return None if any(name in self.errors for name in problems) else message(**values)

    def blame(self, error: CallError, known: Iterable[str]) -> bool:
        """Put the violations of a refused call beside their fields; False if one belongs to none of `known`."""
        fields = set(known)
        for violation in error.violations:
            name = violation.field.rpartition(".")[2]
            if name not in fields:
                return False
            self.errors[name] = violation.reason
        return bool(error.violations)


class StayWish(msgspec.Struct, frozen=True):
    """When somebody wants to sleep where, and how many they are."""

    arrival: date
    nights: int
    guests: int

    @property
    def departure(self) -> date:
        """The morning on which they leave."""
        return self.arrival + timedelta(days=self.nights)

    def query(self) -> dict[str, str]:
        """The stay as it stands in an address."""
        return {"arrival": self.arrival.isoformat(), "nights": str(self.nights), "guests": str(self.guests)}


def today() -> date:
    """The day that it is."""
    return datetime.now(UTC).date()


def usual_stay() -> StayWish:
    """What the search form proposes: one night for two, in two weeks."""
    return StayWish(today() + DEFAULT_LEAD, 1, 2)


def read_stay(form: Form) -> StayWish | None:
    """The stay that a form or an address names; fields that are left out are the usual ones."""
    for name, value in usual_stay().query().items():
        form.sent.setdefault(name, value)
    arrival = form.take("arrival", date, "Write the day of arrival as year-month-day, for example 2030-05-31.")
    if arrival is not None and not today() <= arrival <= today() + FURTHEST:
        form.errors["arrival"] = "Choose a day of arrival from today on, within two years."
    nights = form.take("nights", Nights, "A stay has 1 to 30 nights.")
    guests = form.take("guests", Guests, "A room takes 1 to 8 guests.")
    if form.errors.keys() & {"arrival", "nights", "guests"}:
        return None
    return StayWish(arrival, nights, guests)


def as_typed(text: str) -> str:
    """Leave a field as it is: spaces count in a password."""
    return text


def fresh_key() -> str:
    """A key under which a form has its effect once."""
    return uuid4().hex
