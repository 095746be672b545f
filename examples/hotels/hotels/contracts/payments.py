"""Taking money and accounting for it."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from hotels.contracts.money import Money
from meristem import Code, Contract, Fault, Message, once, safe


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

    token: str
    last4: str
    brand: str


class Charge(Message):
    """An order to take money."""

    booking_id: UUID
    amount: Money
    card: CardToken


class Payment(Message):
    """Money taken."""

    payment_id: UUID
    booking_id: UUID
    amount: Money
    bank_reference: str
    last4: str
    taken: datetime


class Refund(Message):
    """Money given back."""

    payment_id: UUID
    amount: Money
    refunded: datetime


class EntryKind(Enum):
    """Which way the money went."""

    CHARGE = "charge"
    REFUND = "refund"


class LedgerEntry(Message):
    """A line of the ledger; lines are only ever added."""

    number: int
    kind: EntryKind
    booking_id: UUID
    amount: Money
    bank_reference: str
    entered: datetime


class Payments(Contract, Protocol, package="hotels.payments.v1"):
    """Takes money once and keeps the ledger that the law asks for."""

    @once(raises=[CardInvalid], timeout=10.0)
    async def tokenize(self, card: Card) -> CardToken:
        """Exchange a card for the bank's token."""
        ...

    @once(raises=[CardDeclined], timeout=10.0)
    async def charge(self, charge: Charge) -> Payment:
        """Charge the card. A repeated call with the same idempotency key returns the first answer."""
        ...

    @once(timeout=10.0)
    async def refund(self, payment: Payment) -> Refund:
        """Give all of a payment back; a payment is refunded once."""
        ...

    @safe
    async def ledger(self, booking_id: UUID) -> list[LedgerEntry]:
        """The lines of a booking, oldest first."""
        ...
