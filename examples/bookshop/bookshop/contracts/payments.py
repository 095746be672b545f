"""Taking money through the bank, and giving it back."""

from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta
from sitekit.bank.cards import Card, CardDeclined, CardInvalid

from bookshop.contracts.items import Cents
from meristem import Contract, Message, once


class CardToken(Message):
    """What the bank gives in place of a card."""

    token: Annotated[str, Meta(min_length=1, max_length=100)]
    last4: Annotated[str, Meta(pattern=r"^\d{4}$(?!\n)")]
    brand: Annotated[str, Meta(max_length=30)]


class Charge(Message):
    """An order to take money."""

    order_id: UUID
    amount: Cents
    card: CardToken


class Payment(Message):
    """Money that was taken, by the bank's own reference."""

    order_id: UUID
    amount: Cents
    reference: str
    last4: str


class Payments(Contract, Protocol, package="bookshop.payments.v1"):
    """Speaks with the bank."""

    @once(http="POST /cards", status=201, raises=[CardInvalid], timeout=10.0)
    async def tokenize(self, card: Card) -> CardToken:
        """Exchange a card for the bank's token, by which it is charged."""
        ...

    @once(raises=[CardDeclined], timeout=10.0)
    async def charge(self, charge: Charge) -> Payment:
        """Charge the card. A repeated call with the same idempotency key returns the first answer."""
        ...

    @once(timeout=10.0)
    async def refund(self, payment: Payment) -> None:
        """Give all of a payment back; a payment is refunded once, however often this is asked."""
        ...
