"""Takes money through the bank, and enters every movement into the ledger."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import final
from uuid import UUID, uuid4

from sitekit.bank.client import BankClient, bank_key

from hotels.contracts.money import Money
from hotels.contracts.payments import (
    Card,
    CardToken,
    Charge,
    EntryKind,
    LedgerEntry,
    Payment,
    Payments,
    Refund,
)
from hotels.payments import tables
from hotels.payments.ledger import add_line, first_broken, lines_of
from meristem import CallError, Clock, Code, Database, Message, Service, every

logger = logging.getLogger(__name__)


class RefundRow(Message):
    """A refund as it is stored."""

    payment_id: UUID
    amount: Decimal
    currency: str
    refunded: datetime

    def refund(self) -> Refund:
        """The refund as others know it."""
        money = Money(amount=self.amount, currency=self.currency)
        return Refund(payment_id=self.payment_id, amount=money, refunded=self.refunded)


@final
@dataclass
class PaymentsService(Payments, Service, tables=tables.metadata, provides=[BankClient]):
    """The bank first, under a key that a repeat repeats; then the payment and its ledger line in one transaction."""

    bank: BankClient
    database: Database
    clock: Clock

    async def tokenize(self, card: Card) -> CardToken:
        given = await self.bank.tokenize(card)
        return CardToken(token=given.token, last4=given.last4, brand=given.brand)

    async def charge(self, charge: Charge) -> Payment:
        charged = await self.bank.charge(
            charge.card.token,
            charge.amount.amount,
            charge.amount.currency,
            reference=str(charge.booking_id),
            key=bank_key("charge"),
        )
        payment = Payment(
            payment_id=uuid4(),
            booking_id=charge.booking_id,
            amount=charge.amount,
            bank_reference=charged.id,
            last4=charge.card.last4,
            taken=self.clock.now(),
        )
        async with self.database.begin() as tx:
            # The ledger first: its block is then the whole of what was done, and needs no savepoint.
            await self._enter(EntryKind.CHARGE, payment, charged.id, payment.taken)
            tx.defer(tables.INSERT_PAYMENT, _payment_row(payment))
        return payment

    async def refund(self, payment: Payment) -> Refund:
        asked = {"payment_id": payment.payment_id}
        if await self.database.fetch_one(tables.PAYMENT, asked) is None:
            raise CallError(Code.NOT_FOUND, f"no payment {payment.payment_id} was taken", may_have_happened=False)
        # Whoever asks, and however often: one payment, one key.
        key = f"refund-{payment.payment_id}"
        returned = await self.bank.refund(payment.bank_reference, payment.amount.amount, key)
        refund = Refund(payment_id=payment.payment_id, amount=payment.amount, refunded=self.clock.now())
        async with self.database.begin() as tx:
            earlier = await tx.fetch_one(tables.REFUND, asked, into=RefundRow)
            if earlier is not None:
                return earlier.refund()
            row = {"payment_id": payment.payment_id, "refunded": refund.refunded, "bank_reference": returned.id}
            tx.defer(tables.INSERT_REFUND, {**row, **_money_columns(payment.amount)})
            await self._enter(EntryKind.REFUND, payment, returned.id, refund.refunded)
        return refund

    async def ledger(self, booking_id: UUID) -> list[LedgerEntry]:
        return await lines_of(self.database, booking_id)

    @every(seconds=3600.0)
    async def audit(self) -> None:
        """Look through the chain of seals; a broken one is for people to see."""
        broken = await first_broken(self.database)
        if broken is not None:
            logger.error("the ledger was tampered with: line %d is missing or not as it was entered", broken)

    async def _enter(self, kind: EntryKind, payment: Payment, bank_reference: str, entered: datetime) -> None:
        await add_line(self.database, kind, payment.booking_id, payment.amount, bank_reference, entered)


def _money_columns(money: Money) -> dict[str, object]:
    return {"amount": money.amount, "currency": money.currency}


def _payment_row(payment: Payment) -> dict[str, object]:
    return {
        "payment_id": payment.payment_id,
        "booking_id": payment.booking_id,
        "bank_reference": payment.bank_reference,
        "last4": payment.last4,
        "taken": payment.taken,
        **_money_columns(payment.amount),
    }
