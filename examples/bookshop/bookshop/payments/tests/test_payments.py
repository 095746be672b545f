"""The bank is asked under keys that a repeat repeats, and its refusals are faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from bookshop.contracts.payments import Card, CardDeclined, CardInvalid, Charge, Payments
from bookshop.payments.service import PaymentsService

from meristem import CallError, Code, using


def card(number: str = "4242424242424242") -> Card:
    return Card(number=number, expiry="09/39", cvc="123")


def at(bank: str) -> dict[str, Any]:
    return {"payments": {"bank_url": bank, "bank_timeout": 9.0}}


async def test_a_charge_under_one_key_is_one_charge_and_its_refund_one_refund(
    run: Callable[..., Any], bank: str
) -> None:
    async with run(PaymentsService, settings=at(bank)) as app:
        payments = app.client(Payments)
        charge = Charge(order_id=uuid4(), amount=1205, card=await payments.tokenize(card()))
        with using(key="one"):
            first = await payments.charge(charge)
        with using(key="one"):
            assert await payments.charge(charge) == first
        assert (first.amount, first.last4) == (1205, "4242")
        await payments.refund(first)
        await payments.refund(first)  # by another call: the bank knows the payment


async def test_what_the_bank_refuses_is_a_fault(run: Callable[..., Any], bank: str) -> None:
    async with run(PaymentsService, settings=at(bank)) as app:
        payments = app.client(Payments)
        with pytest.raises(CardInvalid) as invalid:
            await payments.tokenize(card("4242424242424241"))
        assert invalid.value.field == "number"
        token = await payments.tokenize(card("4000000000009995"))
        with pytest.raises(CardDeclined) as declined:
            await payments.charge(Charge(order_id=uuid4(), amount=1205, card=token))
        assert declined.value.reason == "insufficient_funds"


async def test_a_bank_that_is_away_has_taken_nothing(run: Callable[..., Any]) -> None:
    async with run(PaymentsService, settings=at("http://127.0.0.1:9")) as app:
        with pytest.raises(CallError) as raised:
            await app.client(Payments).tokenize(card())
    assert raised.value.code is Code.UNAVAILABLE
    assert not raised.value.may_have_happened
