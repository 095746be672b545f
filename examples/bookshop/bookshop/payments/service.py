"""Takes money through the bank, under a key that a repeat repeats."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import final

from sitekit.bank.cards import Card
from sitekit.bank.client import BankClient, bank_key

from bookshop.contracts.items import CURRENCY
from bookshop.contracts.payments import CardToken, Charge, Payment, Payments
from meristem import Service


@final
@dataclass
class PaymentsService(Payments, Service, provides=[BankClient]):
    """Keeps nothing but the answers of what is done once: how an order was paid, transactions know."""

    bank: BankClient

    async def tokenize(self, card: Card) -> CardToken:
        given = await self.bank.tokenize(card)
        return CardToken(token=given.token, last4=given.last4, brand=given.brand)

    async def charge(self, charge: Charge) -> Payment:
        charged = await self.bank.charge(
            charge.card.token, _euros(charge.amount), CURRENCY, reference=str(charge.order_id), key=bank_key("charge")
        )
        return Payment(order_id=charge.order_id, amount=charge.amount, reference=charged.id, last4=charge.card.last4)

    async def refund(self, payment: Payment) -> None:
        # Whoever asks, and however often: one payment, one key.
        await self.bank.refund(payment.reference, _euros(payment.amount), key=f"refund-{payment.reference}")


def _euros(cents: int) -> Decimal:
    """12.50 of 1250."""
    return Decimal(cents).scaleb(-2)
