"""Amounts of money, and copies of books: what a cart, a reservation and an order are made of."""

from typing import Annotated

from msgspec import Meta

from meristem import Message

CURRENCY = "EUR"
MOST_COPIES = 20  # of one book in one cart

Cents = Annotated[int, Meta(ge=0, le=100_000_000, description="An amount in euro cents")]
BookId = Annotated[int, Meta(ge=1, le=2_147_483_647)]
CustomerId = Annotated[int, Meta(ge=1, le=2_147_483_647)]
Copies = Annotated[int, Meta(ge=1, le=MOST_COPIES)]


class Item(Message):
    """Some copies of a book."""

    book_id: BookId
    copies: Copies


class PricedItem(Message):
    """Some copies of a book at the price of one."""

    book_id: BookId
    title: str
    author: str
    price: Cents
    copies: Copies

    @property
    def amount(self) -> int:
        """The price of all copies, in cents."""
        return self.price * self.copies
