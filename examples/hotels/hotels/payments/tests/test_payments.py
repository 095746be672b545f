"""Money moves once, at the bank and in the ledger alike; these tests talk to the bank itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from hotels.contracts.money import Money
from hotels.contracts.payments import (
    Card,
    CardDeclined,
    CardInvalid,
    Charge,
    EntryKind,
    Payment,
    Payments,
)
from hotels.payments.service import PaymentsService

from meristem import CallError, Code, using

APPROVED, DECLINED, SLOW, BUSY_ONCE = "4242424242424242", "4000000000009995", "4000000000000119", "4000000000000341"
PRICE = Money(amount=Decimal("160.00"))


@pytest.fixture
def till(run: Callable[..., Any], bank: str) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_till(patience: float = 5.0, url: str = bank) -> Any:
        settings = {"payments": {"bank_url": url, "bank_timeout": patience}}
        async with run(PaymentsService, settings=settings) as app:
            yield app.client(Payments)

    return open_till


def card(number: str = APPROVED) -> Card:
    return Card(number=number, expiry="09/39", cvc="123")


async def charge(till: Any, number: str = APPROVED, booking: UUID | None = None, key: str = "one") -> Payment:
    """A charge under an idempotency key, as a saga's step makes it."""
    token = await till.tokenize(card(number))
    return await pay(till, Charge(booking_id=booking or uuid4(), amount=PRICE, card=token), key)


async def pay(till: Any, order: Charge, key: str) -> Payment:
    with using(key=key):
        payment: Payment = await till.charge(order)
    return payment


async def at_the_bank(url: str, booking: UUID) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/charges", params={"reference": str(booking)}) as answer,
    ):
        lines: list[dict[str, Any]] = msgspec.json.decode(await answer.read())
    return lines


async def test_a_charge_is_at_the_bank_and_in_the_ledger(till: Callable[..., Any], bank: str) -> None:
    booking = uuid4()
    async with till() as open_till:
        payment = await charge(open_till, booking=booking)
        ledger = await open_till.ledger(booking)

    assert [(line.kind, line.amount, line.bank_reference) for line in ledger] == [
        (EntryKind.CHARGE, PRICE, payment.bank_reference)
    ]
    assert [(line["id"], line["net"]) for line in await at_the_bank(bank, booking)] == [
        (payment.bank_reference, "160.00")
    ]


async def test_a_charge_that_is_asked_twenty_times_is_made_once(till: Callable[..., Any], bank: str) -> None:
    booking = uuid4()
    async with till() as open_till:
        order = Charge(booking_id=booking, amount=PRICE, card=await open_till.tokenize(card()))
        payments = await asyncio.gather(*(pay(open_till, order, "the same") for _ in range(20)))
        ledger = await open_till.ledger(booking)

    assert len({payment.payment_id for payment in payments}) == 1
    assert len(ledger) == 1
    assert len(await at_the_bank(bank, booking)) == 1


async def test_a_declined_card_says_why_and_nothing_is_taken(till: Callable[..., Any], bank: str) -> None:
    booking = uuid4()
    async with till() as open_till:
        with pytest.raises(CardDeclined) as refusal:
            await charge(open_till, DECLINED, booking)
        ledger = await open_till.ledger(booking)

    assert refusal.value.reason == "insufficient_funds"
    assert ledger == []
    assert await at_the_bank(bank, booking) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (Card(number="4242424242424241", expiry="09/39", cvc="123"), "number"),
        (Card(number=APPROVED, expiry="01/20", cvc="123"), "expiry"),
        (Card(number=APPROVED, expiry="09/39", cvc="1234"), "cvc"),
    ],
)
async def test_a_card_that_cannot_be_used_is_refused_with_the_field(
    till: Callable[..., Any], wrong: Card, field: str
) -> None:
    async with till() as open_till:
        with pytest.raises(CardInvalid) as refusal:
            await open_till.tokenize(wrong)

    assert refusal.value.field == field


async def test_when_the_bank_answers_too_late_a_repetition_learns_what_happened(
    till: Callable[..., Any], bank: str
) -> None:
    booking = uuid4()
    async with till(patience=0.5) as open_till:
        order = Charge(booking_id=booking, amount=PRICE, card=await open_till.tokenize(card(SLOW)))
        with pytest.raises(CallError) as doubt:
            await pay(open_till, order, "slow")
        await pay(open_till, order, "slow")
        ledger = await open_till.ledger(booking)

    assert (doubt.value.code, doubt.value.may_have_happened) == (Code.DEADLINE_EXCEEDED, True)
    assert len(ledger) == 1
    assert len(await at_the_bank(bank, booking)) == 1


async def test_a_bank_that_is_busy_is_asked_again(till: Callable[..., Any]) -> None:
    async with till() as open_till:
        order = Charge(booking_id=uuid4(), amount=PRICE, card=await open_till.tokenize(card(BUSY_ONCE)))
        with pytest.raises(CallError) as busy:
            await pay(open_till, order, "busy")

        assert busy.value.code is Code.UNAVAILABLE
        assert await pay(open_till, order, "busy")


async def test_a_bank_that_cannot_be_reached_is_unavailable(till: Callable[..., Any]) -> None:
    async with till(url="http://127.0.0.1:9") as open_till:
        with pytest.raises(CallError) as failure:
            await open_till.tokenize(card())

    assert failure.value.code is Code.UNAVAILABLE


async def test_a_payment_is_given_back_once(till: Callable[..., Any], bank: str) -> None:
    booking = uuid4()
    async with till() as open_till:
        payment = await charge(open_till, booking=booking)
        refunds = [await open_till.refund(payment) for _ in range(3)]  # each under a key of its own
        refunds += await asyncio.gather(*(open_till.refund(payment) for _ in range(3)))
        ledger = await open_till.ledger(booking)

    assert {refund.amount for refund in refunds} == {PRICE}
    assert [line.kind for line in ledger] == [EntryKind.CHARGE, EntryKind.REFUND]
    assert [line["net"] for line in await at_the_bank(bank, booking)] == ["0.00"]


async def test_a_payment_that_was_never_taken_is_not_given_back(till: Callable[..., Any]) -> None:
    async with till() as open_till:
        payment = await charge(open_till)
        with pytest.raises(CallError) as refusal:
            await open_till.refund(msgspec.structs.replace(payment, payment_id=uuid4()))

    assert refusal.value.code is Code.NOT_FOUND
