"""What a cart costs, and whether that is what its customer was shown."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bookshop.contracts.carts import Cart
from bookshop.contracts.catalogue import Book
from bookshop.contracts.checkout import CheckoutRequest, PriceChanged
from bookshop.contracts.customers import Customer
from bookshop.contracts.items import PricedItem
from bookshop.contracts.promotions import Offer
from bookshop.contracts.transactions import Address, NewOrder, PromotionUsed


def priced(cart: Cart, books: Sequence[Book]) -> list[PricedItem]:
    """The cart with today's prices, without books that are no longer sold."""
    known = {book.book_id: book for book in books}
    return [
        PricedItem(book_id=book.book_id, title=book.title, author=book.author, price=book.price, copies=item.copies)
        for item in cart.items
        if (book := known.get(item.book_id)) is not None
    ]


def subtotal(items: Sequence[PricedItem]) -> int:
    """What all copies cost before anything is taken off, in cents."""
    return sum(item.amount for item in items)


def new_order(
    order_id: UUID, request: CheckoutRequest, customer: Customer, items: list[PricedItem], offer: Offer
) -> NewOrder:
    """The order for what the customer was shown; raises PromotionUsed or PriceChanged where that holds no more."""
    if request.buy_two_get_one_free_promo and not offer.is_open:
        raise PromotionUsed(customer_id=customer.customer_id)
    total = subtotal(items) - offer.discount
    if total != request.total or offer.applies != request.buy_two_get_one_free_promo:
        raise PriceChanged(shown=request.total, total=total)
    return NewOrder(
        order_id=order_id,
        customer_id=customer.customer_id,
        name=customer.name,
        email=customer.email,
        address=Address(**msgspec.structs.asdict(request.address)),
        items=items,
        discount=offer.discount,
        total=total,
        buy_two_get_one_free_promo=offer.applies,
    )
