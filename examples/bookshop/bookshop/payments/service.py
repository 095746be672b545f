"""Takes money through the bank, under a key that a repeat repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from bookshop.contracts.payments import Card, CardToken, Charge, Payment, Payments
from bookshop.payments.bank import BankClient
from meristem import CallError, Code, Service, current


@final
@dataclass
class PaymentsService(Payments, Service, provides=[BankClient]):
    """Keeps nothing but the answers of what is done once: how an order was paid, transactions know."""

    bank: BankClient

    async def tokenize(self, card: Card) -> CardToken:
        return await self.bank.tokenize(card)

    async def charge(self, charge: Charge) -> Payment:
        key = current().key
        if key is None:
            raise CallError(Code.INTERNAL, "no money moves without an idempotency key", may_have_happened=False)
        return await self.bank.charge(charge, key=f"charge-{key}")

    async def refund(self, payment: Payment) -> None:
        # Whoever asks, and however often: one payment, one key.
        await self.bank.refund(payment, key=f"refund-{payment.reference}")
