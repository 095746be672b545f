"""The reader's cart with what it costs, and without a price that might be wrong where a service is away."""

from __future__ import annotations

from hashlib import sha256

import msgspec
from quart import current_app, g, session
from sitekit.pages.visitors import acting, patience, within

from bookshop.contracts.carts import Carts
from bookshop.contracts.catalogue import Book, Catalogue
from bookshop.contracts.checkout import Checkout, Quote
from bookshop.web.reader import has_cart, presume, seen, visitor
from meristem import CallError

QUOTING = 2  # the cart's page waits longer for its offer, and for what a sign-in merges, than others for a shelf


class Line(msgspec.Struct, frozen=True):
    """Copies of a book in the cart; `left` is None where the stock can't be known just now."""

    book: Book
    copies: int
    left: int | None
    is_free: bool = False

    @property
    def amount(self) -> int:
        """What they cost before anything is taken off, in cents."""
        return self.book.price * self.copies


class ShownCart(msgspec.Struct, frozen=True):
    """What the page shows; without a `quote` nothing is taken off, and nothing can be bought."""

    lines: list[Line]
    quote: Quote | None

    @property
    def copies(self) -> int:
        """How many copies there are of all books."""
        return sum(each.copies for each in self.lines)

    @property
    def subtotal(self) -> int:
        """What all copies cost before anything is taken off, in cents."""
        return sum(each.amount for each in self.lines)


EMPTY = ShownCart(lines=[], quote=None)


async def merge() -> None:
    """After a sign-in, put what was gathered before it into the customer's cart; what fails is done by a later page."""
    theirs = session.get("visitor")
    if g.user is None or g.unrecognised is not None or not theirs:
        return
    try:
        with within(QUOTING * patience()), acting(f"merge-{sha256(theirs.encode()).hexdigest()}"):
            seen((await Carts.client().merge(theirs)).copies)
        session.pop("visitor")
    except CallError as error:
        current_app.logger.warning("a cart is merged later: %s", error)


async def quoted() -> Quote | None:
    """What the cart costs with the offer; None when that can't be known just now."""
    try:
        with within(QUOTING * patience()), acting():
            return await Checkout.client().quote(visitor())
    except CallError as error:
        current_app.logger.warning("a cart is shown without its offer: %s", error)
        return None


async def shown_cart() -> ShownCart:
    """The cart as its page shows it."""
    await presume()
    await merge()
    if not has_cart():
        return EMPTY
    quote = await quoted()
    if quote is not None:
        return await _with_offer(quote)
    with acting():
        cart = await Carts.client().cart(visitor())
        books = await _books([item.book_id for item in cart.items])
    seen(cart.copies)
    lines = [Line(books[each.book_id], each.copies, None) for each in cart.items if each.book_id in books]
    return ShownCart(lines=lines, quote=None)


async def _with_offer(quote: Quote) -> ShownCart:
    with acting():
        books = await _books([line.item.book_id for line in quote.lines])
    lines = [
        Line(books[line.item.book_id], line.item.copies, line.left, quote.offer.free_book_id == line.item.book_id)
        for line in quote.lines
        if line.item.book_id in books
    ]
    seen(sum(line.item.copies for line in quote.lines))
    return ShownCart(lines=lines, quote=quote)


async def _books(book_ids: list[int]) -> dict[int, Book]:
    found = await Catalogue.client().books(book_ids) if book_ids else []
    return {each.book_id: each for each in found}
