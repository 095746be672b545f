"""Buy two, get one free: of more than two books in a cart the cheapest costs nothing, once for each customer."""

from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from bookshop.contracts.items import BookId, Cents, CustomerId, PricedItem
from meristem import Contract, Event, Message, once, safe

BOOKS_NEEDED = 3


class Offer(Message):
    """What the promotion does for a cart.

    `is_open` says whether it is there for this customer at all: the banner is shown. `applies` says whether the cart
    has it; then one copy of `free_book_id` costs nothing, which is `discount`. `missing` is how many copies more it
    takes.
    """

    is_open: bool
    applies: bool
    discount: Cents = 0
    free_book_id: BookId | None = None
    missing: int = 0


class Campaign(Message):
    """A round of mails to those who haven't used the promotion: how many were written to so far."""

    campaign_id: UUID
    begun: datetime
    letters: int
    ended: datetime | None = None


class ReminderDue(Event, package="bookshop.promotions.v1", key="customer_id"):
    """A customer is to be told that the promotion is still there for them."""

    customer_id: int
    campaign_id: UUID
    name: str
    email: str


class Promotions(Contract, Protocol, package="bookshop.promotions.v1"):
    """Runs the promotion; who has used it, it asks transactions."""

    @safe(http="GET /promotion")
    async def is_open(self) -> bool:
        """Whether to show the banner: to everybody but those who have used the promotion."""
        ...

    @safe
    async def offer(
        self, items: Annotated[list[PricedItem], Meta(max_length=50)], customer_id: CustomerId | None = None
    ) -> Offer:
        """What the promotion does for a cart; a visitor is shown what it would do for a new customer."""
        ...

    @once
    async def begin_campaign(self) -> Campaign:
        """Write to every customer who wants offers and hasn't used the promotion; one that is under way goes on."""
        ...

    @safe
    async def campaigns(self) -> list[Campaign]:
        """The latest campaigns, newest first."""
        ...
