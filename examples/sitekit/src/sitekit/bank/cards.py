"""Cards, and what a bank says of them; the contracts of both sites declare it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from meristem import Code, Fault, Message


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
