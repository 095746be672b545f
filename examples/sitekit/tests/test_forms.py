"""What was typed is read by a contract's own types; numbers and days are written as the visitor reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from msgspec import Meta
from sitekit.bank.cards import Card, CardDeclined, CardInvalid
from sitekit.pages.cards import blame_card, declined, typed_card
from sitekit.pages.formats import day, known_locale, moment, plural, price
from sitekit.pages.forms import Form, as_typed

from meristem import CallError, Code, FieldViolation, Message


class Wish(Message):
    count: Annotated[int, Meta(ge=1)]
    word: str


WORDS = {"count": "Write a number.", "word": "Write a word."}


def test_a_message_is_built_from_fields_of_its_names() -> None:
    assert Form({"count": " 3 ", "word": " so "}).build(Wish, WORDS, word=as_typed) == Wish(count=3, word=" so ")


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays() -> None:
    form = Form({"count": "none", "word": "so"})
    assert form.build(Wish, WORDS) is None
    assert (form.errors, form.shown("count"), form.status) == ({"count": "Write a number."}, "none", 422)


def test_a_refused_call_is_said_beside_the_fields_that_it_names() -> None:
    refusal = CallError(Code.INVALID_ARGUMENT, "no", violations=(FieldViolation("wish.word", "Not this word."),))
    form = Form()
    form.blame_or_raise(refusal, WORDS)
    assert form.errors == {"word": "Not this word."}
    with pytest.raises(CallError):
        form.blame_or_raise(refusal, ["count"])
    with pytest.raises(CallError):
        form.blame_or_raise(CallError(Code.UNAVAILABLE, "away"), WORDS)


@pytest.mark.parametrize("expiry", ["9 / 2039", "0939", "09/39", "9-39"])
def test_a_card_is_read_however_its_holder_writes_it(expiry: str) -> None:
    form = Form({"number": "4242 4242-4242 4242", "expiry": expiry, "cvc": "123"})
    assert typed_card(form) == Card(number="4242424242424242", expiry="09/39", cvc="123")


def test_what_the_bank_says_of_a_card_stands_beside_its_field() -> None:
    form = Form({"number": "42", "expiry": "13/39", "cvc": "x"})
    assert typed_card(form) is None
    assert form.errors.keys() == {"number", "expiry", "cvc"}
    blame_card(form, CardInvalid(field="card.cvc", reason="It has 4 digits."))
    blame_card(form, CardInvalid(field="else", reason="It is unknown."))
    assert (form.errors["cvc"], form.errors["number"]) == ("It has 4 digits.", "It is unknown.")
    assert declined(CardDeclined(reason="expired_card")).startswith("The card has expired. Nothing was charged.")
    assert declined(CardDeclined(reason="else")).startswith("Your bank declined the card. Nothing was charged.")


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en-GB", "€64.00"),
        ("de-DE,de;q=0.9,en;q=0.5", "64,00\xa0€"),
        ("xx-nonsense,fr;q=0.8", "64,00\xa0€"),
        ("zz,*", "€64.00"),
        ("", "€64.00"),
        ("x" * 5000, "€64.00"),
    ],
)
async def test_a_price_is_written_as_the_visitor_reads_it(app: Any, language: str, written: str) -> None:
    async with app.test_request_context("/", headers={"Accept-Language": language}):
        assert f">{written}</bdi>" in price(Decimal(64), "EUR")


async def test_a_day_is_local_for_people_and_iso_for_machines(app: Any) -> None:
    async with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        assert day(date(2030, 5, 1), "long") == '<time datetime="2030-05-01" lang="fr">1 mai 2030</time>'
        assert day(datetime(2030, 5, 1, 23, tzinfo=UTC)).startswith('<time datetime="2030-05-01"')
        assert moment(datetime(2030, 5, 1, 23, tzinfo=UTC)).startswith('<time datetime="2030-05-01T23:00:00+00:00"')
        assert (plural(1, "night", "nights"), plural(2000, "night", "nights")) == ("1 night", "2\u202f000 nights")


@pytest.mark.parametrize("tag", ["../../etc/passwd", "en_US.UTF-8", "-", "é", "a-b-c-d"])
def test_a_strange_language_is_no_language(tag: str) -> None:
    assert known_locale(tag) is None
