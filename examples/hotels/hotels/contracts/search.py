"""Finding a room: our own hotels and a partner's."""

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from hotels.contracts.money import Money
from hotels.contracts.rooms import Guests, Nights
from meristem import Contract, Message, safe


class Source(Enum):
    """Whose offer it is."""

    OWN = "own"
    PARTNER = "partner"


class PartnerState(Enum):
    """How the partner answered this search."""

    ANSWERED = "answered"
    SLOW = "slow"
    DOWN = "down"


class Offer(Message):
    """A room that is free for the whole stay; ours can be booked by `room_id`, a partner's at `link`."""

    source: Source
    hotel: str
    stars: int
    city: str
    country: str
    room: str
    capacity: int
    nightly: Money
    total: Money
    free: int | None = None
    room_id: UUID | None = None
    link: str | None = None


class Offers(Message):
    """What a search found; it is complete only if the partner answered."""

    city: str
    arrival: date
    nights: int
    guests: int
    offers: list[Offer]
    partner: PartnerState


class City(Message):
    """A city in which we know hotels."""

    name: str
    country: str
    hotels: int


class Search(Contract, Protocol, package="hotels.search.v1"):
    """Answers searches from a read model that follows the events of rooms."""

    @safe(http="GET /hotels", timeout=2.0)
    async def find(
        self,
        city: Annotated[str, Meta(min_length=1, max_length=80)],
        arrival: date,
        nights: Nights = 1,
        guests: Guests = 2,
        max_price: Decimal | None = None,
        limit: Annotated[int, Meta(ge=1, le=200)] = 50,
    ) -> Offers:
        """Rooms free in a city for a stay, cheapest first; `max_price` bounds the price of a night."""
        ...

    @safe(http="GET /cities")
    async def cities(
        self, prefix: Annotated[str, Meta(max_length=80)] = "", limit: Annotated[int, Meta(ge=1, le=50)] = 10
    ) -> list[City]:
        """Cities whose name begins with `prefix`, those with most hotels first."""
        ...
