"""The stay that a visitor wishes for, as it stands in a form and in an address."""

from datetime import UTC, date, datetime, timedelta

import msgspec
from sitekit.pages.forms import Form

from hotels.contracts.rooms import Guests, Nights

DEFAULT_LEAD = timedelta(days=14)
FURTHEST = timedelta(days=730)


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
