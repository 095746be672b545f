"""Taking money and accounting for it."""

from datetime import datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from sitekit.bank.cards import Card, CardDeclined, CardInvalid

from hotels.contracts.money import Money
from meristem import Contract, Message, once, safe


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
