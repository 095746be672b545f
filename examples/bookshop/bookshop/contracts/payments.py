"""Taking money through the bank, and giving it back."""

from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from bookshop.contracts.items import Cents
from meristem import Code, Contract, Fault, Message, once


class CardDeclined(Fault, code=Code.FAILED_PRECONDITION, status=402):
    """The bank refused the card; nothing was charged."""

    reason: str


class CardInvalid(Fault, code=Code.INVALID_ARGUMENT, status=422):
    """The card cannot be used."""

    field: str
    reason: str


class Card(Message):
    """A payment card as its holder types it; it goes to the bank and is kept nowhere."""

    number: Annotated[str, Meta(min_length=12, max_length=30)]
    expiry: Annotated[str, Meta(pattern=r"^(0[1-9]|1[0-2])/\d\d$(?!\n)", description="MM/YY")]
    cvc: Annotated[str, Meta(pattern=r"^\d{3,4}$(?!\n)")]


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
