"""What is in stock, and for whom it is kept."""

from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from bookshop.contracts.items import BookId, Item
from meristem import Code, Contract, Fault, Message, once, safe

Items = Annotated[list[Item], Meta(min_length=1, max_length=50)]


class OutOfStock(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """There are not enough copies of this book left."""

    book_id: int
    left: int


class ReservationExpired(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """The books were kept for some minutes only, and paying took longer."""

    order_id: UUID


class Stock(Message):
    """How many copies of a book can be bought."""

    book_id: BookId
    left: int


class Reservation(Message):
    """Books that are kept for an order; until it is confirmed it expires."""

    order_id: UUID
    items: list[Item]
    expires: datetime


class Inventory(Contract, Protocol, package="bookshop.inventory.v1"):
    """Gives each copy to one order."""

    @safe
    async def stock(self, book_ids: Annotated[list[BookId], Meta(max_length=200)]) -> list[Stock]:
        """How many copies are left of each of these books, in their order; none of a book that was never delivered."""
        ...

    @once(raises=[OutOfStock])
    async def reserve(self, order_id: UUID, items: Items) -> Reservation:
        """Keep books for an order for some minutes: all of them, or none."""
        ...

    @once(raises=[ReservationExpired])
    async def confirm(self, order_id: UUID) -> None:
        """Keep them for good; refused when the reservation has expired."""
        ...

    @once
    async def release(self, reservation: Reservation) -> None:
        """Put the books of an order back; one whose books are back already, or never were taken, is no error."""
        ...

    @once
    async def deliver(self, item: Item) -> Stock:
        """Add copies that have come from the publisher."""
        ...
