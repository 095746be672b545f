"""From the cart to the order: what it costs, buying it, and sending it back."""

from typing import Annotated, Protocol
from uuid import UUID, uuid5

from msgspec import Meta
from sitekit.texts import ONE_LINE, Name

from bookshop.contracts.carts import CartChanged, Version, Visitor
from bookshop.contracts.inventory import OutOfStock, ReservationExpired
from bookshop.contracts.items import Cents, PricedItem
from bookshop.contracts.payments import CardDeclined, CardToken
from bookshop.contracts.promotions import Offer
from bookshop.contracts.transactions import Address, NotRefundable, Order, OrderUnknown, PromotionUsed
from meristem import Code, Contract, Fault, Message, once, safe

ORDERS = UUID("8f6f1d0c-6a3e-5b0b-9d57-2f4b7a1c9e60")


def order_id_of(customer_id: int, cart_version: int) -> UUID:
    """The id of the order that buys this version of a customer's cart, of which there is one at most.

    Who hasn't heard whether a checkout came to an end asks for the order by it.
    """
    return uuid5(ORDERS, f"{customer_id} {cart_version}")


class CartEmpty(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """There is nothing in the cart."""


class PriceChanged(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """The price is not the one that you were shown; nothing was charged. Look at the new one and decide again."""

    shown: Cents
    total: Cents


class QuoteLine(Message):
    """A line of the cart with its price, and how many copies of the book are in stock."""

    item: PricedItem
    left: int


class Quote(Message):
    """What the cart costs at this moment. It is bought by its `cart_version`, `total` and the offer's `applies`."""

    cart_version: Version
    lines: list[QuoteLine]
    subtotal: Cents
    offer: Offer
    total: Cents


class DeliveryAddress(Address):
    """An address as it is given: each of its lines is one. Those of orders are what was given when they were made."""

    name: Name
    street: Annotated[str, Meta(pattern=ONE_LINE, max_length=120)]
    postcode: Annotated[str, Meta(pattern=ONE_LINE, max_length=12)]
    city: Annotated[str, Meta(pattern=ONE_LINE, max_length=80)]
    country: Annotated[str, Meta(pattern=ONE_LINE, max_length=80)]


class CheckoutRequest(Message):
    """The wish to buy the cart for what the customer was shown.

    The card was exchanged for the bank's token before (`Payments.tokenize`): no card number comes here. What costs
    nothing is bought without one.
    """

    cart_version: Version
    total: Cents
    buy_two_get_one_free_promo: bool
    card: CardToken | None = None
    address: DeliveryAddress


class Checkout(Contract, Protocol, package="bookshop.checkout.v1"):
    """Buys carts: a checkout ends either complete or undone, whatever fails on its way."""

    @safe(http="GET /quote")
    async def quote(self, visitor: Visitor = "") -> Quote:
        """What the cart of the customer, or else of the visitor, costs; books that are no longer sold are left out."""
        ...

    @once(
        http="POST /orders",
        status=201,
        raises=[
            CardDeclined,
            CartChanged,
            CartEmpty,
            OutOfStock,
            PriceChanged,
            PromotionUsed,
            ReservationExpired,
        ],
        authenticated=True,
        timeout=30.0,
    )
    async def check_out(self, request: CheckoutRequest) -> Order:
        """Buy what is in your cart.

        The books are kept, the promotion is used, the card is charged, the order is recorded; a mail follows. If one
        of these fails, those before are undone and the cart is as it was. The same idempotency key buys once.
        """
        ...

    @once(http="DELETE /orders/{order_id}", raises=[OrderUnknown, NotRefundable], authenticated=True, timeout=30.0)
    async def refund(self, order_id: UUID) -> Order:
        """Send an order back: its money is returned and its books are in stock again. The promotion stays used."""
        ...
