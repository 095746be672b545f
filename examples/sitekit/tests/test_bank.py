"""What a bank answers is a fault, an answer, or an error that says whether money may have moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sitekit.bank.cards import Card, CardDeclined, CardInvalid
from sitekit.bank.client import BankClient, BankToken, bank_key
from sitekit.bank.settings import BankSettings

from meristem import CallError, Code, using

CARD = Card(number="4242424242424242", expiry="09/39", cvc="123")


class Answers:
    """A bank that answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 201, b'{"id": "ch_1", "charge": "ch_1"}'
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []
        self.late = False

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.json(), request.headers.get("Idempotency-Key")))
        if self.late:
            await asyncio.sleep(30)
        return web.Response(status=self.status, body=self.body, content_type="application/json")


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def bank(answers: Answers) -> AsyncIterator[BankClient]:
    app = web.Application()
    app.router.add_post("/{path:.*}", answers.answer)
    async with TestServer(app) as server:
        client = BankClient(BankSettings(bank_url=str(server.make_url("")).rstrip("/"), bank_timeout=9.0))
        await client.start()
        yield client
        await client.stop()


def charge(bank: BankClient) -> Any:
    return bank.charge("tok_1", Decimal("12.50"), "EUR", reference="order 1", key="charge-1")


async def test_a_charge_and_its_refund_go_out_under_their_keys(bank: BankClient, answers: Answers) -> None:
    assert (await charge(bank)).id == "ch_1"
    assert (await bank.refund("ch_1", Decimal("12.50"), "refund-1")).charge == "ch_1"
    asked = {"token": "tok_1", "amount": "12.50", "currency": "EUR", "reference": "order 1"}
    assert answers.asked == [
        ("/charges", asked, "charge-1"),
        ("/charges/ch_1/refunds", {"amount": "12.50"}, "refund-1"),
    ]


async def test_a_card_is_exchanged_for_a_token(bank: BankClient, answers: Answers) -> None:
    answers.body = b'{"token": "tok_1", "last4": "4242", "brand": "visa", "more": 1}'
    assert await bank.tokenize(CARD) == BankToken(token="tok_1", last4="4242", brand="visa")
    assert answers.asked == [("/tokens", {"number": CARD.number, "expiry": "09/39", "cvc": "123"}, None)]


async def test_what_the_bank_refuses_is_a_fault(bank: BankClient, answers: Answers) -> None:
    answers.status, answers.body = 402, b'{"detail": "No.", "reason": "insufficient_funds"}'
    with pytest.raises(CardDeclined) as declined:
        await charge(bank)
    answers.status, answers.body = 422, b'{"detail": "This is no number.", "field": "number"}'
    with pytest.raises(CardInvalid) as invalid:
        await bank.tokenize(CARD)
    assert declined.value.reason == "insufficient_funds"
    assert (invalid.value.field, invalid.value.reason) == ("number", "This is no number.")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (503, b"", Code.UNAVAILABLE),
        (429, b"", Code.UNAVAILABLE),
        (201, b"<html>", Code.UNAVAILABLE),
        (401, b"<html>", Code.INTERNAL),
    ],
)
async def test_any_other_answer_leaves_it_open_what_was_charged(
    bank: BankClient, answers: Answers, status: int, body: bytes, code: Code
) -> None:
    answers.status, answers.body = status, body
    with pytest.raises(CallError) as error:
        await charge(bank)
    assert (error.value.code, error.value.may_have_happened) == (code, True)


async def test_a_bank_that_answers_too_late_may_have_charged(bank: BankClient, answers: Answers) -> None:
    answers.late = True
    bank.settings = BankSettings(bank_url=bank.settings.bank_url, bank_timeout=0.05)
    with pytest.raises(CallError) as error:
        await charge(bank)
    assert (error.value.code, error.value.may_have_happened) == (Code.DEADLINE_EXCEEDED, True)


@pytest.mark.parametrize("started", [True, False])
async def test_a_bank_that_is_away_has_taken_nothing(started: bool) -> None:
    client = BankClient(BankSettings(bank_url="http://127.0.0.1:9"))
    if started:
        await client.start()
    with pytest.raises(CallError) as error:
        await client.tokenize(CARD)
    await client.stop()
    assert (error.value.code, error.value.may_have_happened) == (Code.UNAVAILABLE, False)


def test_no_money_moves_without_a_key() -> None:
    with pytest.raises(CallError):
        bank_key("charge")
    with using(key="one"):
        assert bank_key("charge") == "charge-one"
