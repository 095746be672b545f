"""The fields of a card on a page: what is typed, and what its bank says of it, in words."""

from __future__ import annotations

import re

from sitekit.bank.cards import Card, CardDeclined, CardInvalid
from sitekit.pages.forms import Form

CARD = {
    "number": "Write the card number: 12 to 19 digits.",
    "expiry": "Write the expiry as month and year, for example 09/29.",
    "cvc": "Write the security code: the 3 or 4 digits on the card.",
}
DECLINES = {
    "card_declined": "Your bank declined the card.",
    "insufficient_funds": "There is not enough money on the card.",
    "expired_card": "The card has expired.",
}


def typed_card(form: Form) -> Card | None:
    """The card that a form has; None, and what is wrong beside its fields, if it is none."""
    card: Card | None = form.build(Card, CARD, number=_digits, expiry=_expiry)
    return card


def blame_card(form: Form, fault: CardInvalid) -> None:
    """Say beside the card's field why it can't be used."""
    field = fault.field.rpartition(".")[2]
    form.errors[field if field in CARD else "number"] = fault.reason


def declined(fault: CardDeclined) -> str:
    """Why nothing was charged, and what to do."""
    return f"{DECLINES.get(fault.reason, DECLINES['card_declined'])} Nothing was charged. Try another card."


def _digits(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


def _expiry(text: str) -> str:
    """`9 / 2029`, `0929` and `09/29` all mean 09/29."""
    match = re.fullmatch(r"\s*(\d{1,2})\s*[/.-]?\s*(?:20)?(\d\d)\s*", text)
    return f"{match[1]:0>2}/{match[2]}" if match else text.strip()
