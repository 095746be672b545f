"""Carts: of customers, and of visitors who haven't signed in."""

from typing import Annotated, Protocol

from msgspec import Meta

from bookshop.contracts.catalogue import BookUnknown
from bookshop.contracts.items import MOST_COPIES, BookId, Copies, Item
from meristem import Code, Contract, Fault, Message, idempotent, once, safe

Version = Annotated[int, Meta(ge=0, le=2_147_483_647)]
Visitor = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]{22,64})?$(?!\n)", description="What a visitor's browser keeps")]


class CartChanged(Fault, code=Code.ABORTED):
    """The cart has changed in the meantime; look at it again."""

    version: int


class CartFull(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """No more fits into the cart: it holds this many copies of a book, and this many different books."""

    most_copies: int
    most_books: int


class Cart(Message):
    """What somebody means to buy, in the order in which it was added; each change gives it another version."""

    items: list[Item]
    version: Version

    @property
    def copies(self) -> int:
        """How many copies there are of all books."""
        return sum(item.copies for item in self.items)


class Carts(Contract, Protocol, package="bookshop.carts.v1"):
    """Keeps carts.

    The cart is that of the customer who is signed in, on all their devices, or else that of `visitor`: a text that
    nobody can guess, made by who serves the pages. With neither a call is refused.
    """

    @safe(http="GET /cart")
    async def cart(self, visitor: Visitor = "") -> Cart:
        """What is in the cart; an empty one has version 0 until something was put into it."""
        ...

    @once(http="POST /cart", raises=[BookUnknown, CartFull])
    async def add(self, book_id: BookId, copies: Copies = 1, visitor: Visitor = "") -> Cart:
        """Put copies into the cart, beside those that are in it."""
        ...

    @idempotent(http="PUT /cart/{book_id}", raises=[BookUnknown, CartFull])
    async def put(
        self, book_id: BookId, copies: Annotated[int, Meta(ge=0, le=MOST_COPIES)], visitor: Visitor = ""
    ) -> Cart:
        """Say how many copies of a book are in the cart; of none it is taken out. Other books stay as they are."""
        ...

    @once(authenticated=True)
    async def merge(self, visitor: Visitor) -> Cart:
        """After a sign-in, put what the visitor's cart holds into the customer's.

        Of a book in both there are as many copies as in the one with more: who signs in again doesn't buy twice. What
        doesn't fit is left out. The visitor's cart is empty afterwards.
        """
        ...

    @once(raises=[CartChanged], authenticated=True)
    async def take(self, version: Version) -> Cart:
        """Empty the customer's cart into an order, if it still has the version that the customer saw."""
        ...

    @once(authenticated=True)
    async def put_back(self, cart: Cart) -> None:
        """Fill it again with what an order that failed had taken, beside what was added since."""
        ...
