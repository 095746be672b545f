"""The record of what was sold: its orders, their payments, and who used the promotion."""

from datetime import date, datetime
from enum import Enum
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from bookshop.contracts.items import Cents, CustomerId, PricedItem
from bookshop.contracts.payments import Payment
from meristem import Code, Contract, Event, Fault, Message, once, safe


class OrderUnknown(Fault, code=Code.NOT_FOUND):
    """You have no such order."""

    order_id: UUID


class NotRefundable(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """This order can no longer be sent back."""

    order_id: UUID


class PromotionUsed(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """You have had your free book; the promotion is for once."""

    customer_id: int


class Address(Message):
    """Where the books are sent."""

    name: Annotated[str, Meta(pattern=r"\S", max_length=120)]
    street: Annotated[str, Meta(pattern=r"\S", max_length=120)]
    postcode: Annotated[str, Meta(pattern=r"\S", max_length=12)]
    city: Annotated[str, Meta(pattern=r"\S", max_length=80)]
    country: Annotated[str, Meta(pattern=r"\S", max_length=80)]


class OrderStatus(Enum):
    """How far an order has come."""

    OPEN = "open"
    PAID = "paid"
    PLACED = "placed"
    FAILED = "failed"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


class NewOrder(Message):
    """An order as it is opened: the prices are those that the customer saw."""

    order_id: UUID
    customer_id: CustomerId
    name: str
    email: str
    address: Address
    items: list[PricedItem]
    discount: Cents
    total: Cents
    buy_two_get_one_free_promo: bool


class Order(Message):
    """An order and what became of it."""

    order_id: UUID
    customer_id: CustomerId
    status: OrderStatus
    name: str
    email: str
    address: Address
    items: list[PricedItem]
    discount: Cents
    total: Cents
    buy_two_get_one_free_promo: bool
    opened: datetime
    payment: Payment | None = None


class SalesDay(Message):
    """The orders of one day that were placed and not sent back; those with the promotion are counted among them too."""

    day: date
    orders: int = 0
    copies: int = 0
    revenue: Cents = 0
    promoted_orders: int = 0
    promoted_copies: int = 0
    promoted_revenue: Cents = 0
    discounts: Cents = 0


class OrderPlaced(Event, package="bookshop.transactions.v1", key="order_id"):
    """Books were bought and paid for."""

    order_id: UUID
    order: Order


class OrderRefunded(Event, package="bookshop.transactions.v1", key="order_id"):
    """An order was taken back: its money was returned and its books are in stock again."""

    order_id: UUID
    order: Order


class Transactions(Contract, Protocol, package="bookshop.transactions.v1"):
    """The only one that knows the database of transactions."""

    @safe
    async def promotion_used(self, customer_id: CustomerId) -> bool:
        """Whether a customer has an order with the promotion: open, placed or refunded, but not one that failed."""
        ...

    @safe
    async def who_used_promotion(self, customer_ids: Annotated[list[CustomerId], Meta(max_length=500)]) -> list[int]:
        """Which of these customers have used it."""
        ...

    @once(raises=[PromotionUsed])
    async def open(self, new: NewOrder) -> Order:
        """Write an order down before it is paid for; with the promotion, it is used from here on."""
        ...

    @once
    async def settle(self, payment: Payment) -> None:
        """Write down how an order was paid."""
        ...

    @once
    async def place(self, order_id: UUID) -> Order:
        """The order stands: it is paid, or costs nothing, and its books are its own. Everybody is told."""
        ...

    @once
    async def fail(self, order: Order) -> None:
        """Undo `open`: the order came to nothing, and the promotion is unused again."""
        ...

    @safe(http="GET /orders", authenticated=True)
    async def mine(
        self,
        limit: Annotated[int, Meta(ge=1, le=200)] = 200,
        offset: Annotated[int, Meta(ge=0, le=1_000_000)] = 0,
    ) -> list[Order]:
        """Your orders, newest first, without those that came to nothing; `offset` says how many of them to skip."""
        ...

    @safe(http="GET /orders/{order_id}", raises=[OrderUnknown], authenticated=True)
    async def order(self, order_id: UUID) -> Order:
        """One of your orders."""
        ...

    @once(raises=[OrderUnknown, NotRefundable], authenticated=True)
    async def begin_refund(self, order_id: UUID) -> Order:
        """One of your orders is to be taken back; refused when it was placed too long ago."""
        ...

    @once
    async def keep(self, order: Order) -> None:
        """Undo `begin_refund`: the order stands after all."""
        ...

    @once
    async def refunded(self, order_id: UUID) -> Order:
        """Its money is returned and its books are back; the promotion, if it had it, stays used. Everybody is told."""
        ...

    @safe
    async def sales(self, days: Annotated[int, Meta(ge=1, le=366)] = 30) -> list[SalesDay]:
        """What was sold on each of the last days, the oldest first, with and without the promotion."""
        ...
