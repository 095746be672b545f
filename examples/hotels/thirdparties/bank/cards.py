"""What the bank knows of a card: its check digit, its expiry, its brand, and how the documented test cards behave."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

_SEPARATORS = re.compile(r"[ -]")
_EXPIRY = re.compile(r"(0[1-9]|1[0-2])/(\d{2})")


class Behaviour(StrEnum):
    """What happens when a card is charged."""

    APPROVE = "approve"
    DECLINE = "card_declined"
    NO_FUNDS = "insufficient_funds"
    EXPIRED = "expired_card"
    SLOW = "slow"
    """The charge is recorded; the answer to the first attempt comes only after a delay."""
    UNAVAILABLE_ONCE = "unavailable_once"
    """The first attempt of a key fails with 503 before anything is recorded; a repeat succeeds."""


DECLINES = frozenset({Behaviour.DECLINE, Behaviour.NO_FUNDS, Behaviour.EXPIRED})

TEST_CARDS: dict[str, tuple[Behaviour, str]] = {
    "4242424242424242": (Behaviour.APPROVE, "is approved"),
    "5555555555554444": (Behaviour.APPROVE, "is approved (Mastercard)"),
    "4000000000000002": (Behaviour.DECLINE, "is declined: card_declined"),
    "4000000000009995": (Behaviour.NO_FUNDS, "is declined: insufficient_funds"),
    "4000000000000069": (Behaviour.EXPIRED, "is declined: expired_card"),
    "4000000000000119": (Behaviour.SLOW, "is recorded, but the first answer comes late; a repeat is answered at once"),
    "4000000000000341": (Behaviour.UNAVAILABLE_ONCE, "meets a 503 before anything is recorded; a repeat succeeds"),
}
"""Every other number that passes the check digit is approved."""


class InvalidCardError(ValueError):
    """A field of the card is wrong; ``field`` names it, the message never repeats its value."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Card:
    """A card that passed the checks, without its number: a fingerprint tells two cards apart, ``last4`` is shown."""

    fingerprint: str
    last4: str
    brand: str
    behaviour: Behaviour
    expires: str
    """The last month in which the card is good, as ``YYYY-MM``."""

    def has_expired(self, today: date) -> bool:
        return self.expires < f"{today:%Y-%m}"


def examine(number: str, expiry: str, cvc: str, *, key: bytes, today: date) -> Card:
    """Check the three fields of a card and forget the number; ``InvalidCardError`` names the first wrong one."""
    digits = _SEPARATORS.sub("", number)
    if not re.fullmatch(r"[0-9]{12,19}", digits) or not passes_luhn(digits):
        raise InvalidCardError("number", "This is not a valid card number. Check the digits.")
    expires = _last_good_month(expiry)
    if expires < f"{today:%Y-%m}":
        raise InvalidCardError("expiry", "The card has expired.")
    brand = brand_of(digits)
    cvc_length = 4 if brand == "amex" else 3
    if not re.fullmatch(rf"[0-9]{{{cvc_length}}}", cvc):
        raise InvalidCardError("cvc", f"The security code has {cvc_length} digits.")
    return Card(
        fingerprint=hmac.new(key, digits.encode(), hashlib.sha256).hexdigest(),
        last4=digits[-4:],
        brand=brand,
        behaviour=TEST_CARDS.get(digits, (Behaviour.APPROVE, ""))[0],
        expires=expires,
    )


def passes_luhn(digits: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def brand_of(digits: str) -> str:
    first2, first4 = int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return "visa"
    if 51 <= first2 <= 55 or 2221 <= first4 <= 2720:
        return "mastercard"
    return "amex" if first2 in {34, 37} else "unknown"


def _last_good_month(expiry: str) -> str:
    match = _EXPIRY.fullmatch(expiry.strip())
    if match is None:
        raise InvalidCardError("expiry", "Write the expiry as MM/YY, for example 09/29.")
    month, year = match.groups()
    return f"20{year}-{month}"
