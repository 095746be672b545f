"""Amounts as the bank keeps them: whole minor units of a currency, read from and written as decimal strings."""

from __future__ import annotations

import re
from decimal import Decimal

_CURRENCY = re.compile(r"[A-Z]{3}")
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})?")

# ISO 4217: currencies whose minor unit is not a hundredth.
_DECIMALS = {
    "ISK": 0,
    "JPY": 0,
    "KRW": 0,
    "VND": 0,
    "CLP": 0,
    "XOF": 0,
    "XAF": 0,
    "BHD": 3,
    "JOD": 3,
    "KWD": 3,
    "TND": 3,
}


def decimals_of(currency: str) -> int:
    return _DECIMALS.get(currency, 2)


def is_currency(text: str) -> bool:
    return _CURRENCY.fullmatch(text) is not None


def to_minor(amount: str, currency: str) -> int:
    """``("12.5", "EUR")`` is 1250; raises ``ValueError`` for what is not a positive amount of that currency."""
    if _AMOUNT.fullmatch(amount) is None:
        raise ValueError('Write the amount as a decimal string, for example "129.50".')
    scaled = Decimal(amount).scaleb(decimals_of(currency))
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{currency} has {decimals_of(currency)} decimals; the amount has more.")
    if scaled <= 0:
        raise ValueError("The amount must be more than zero.")
    return int(scaled)


def from_minor(minor: int, currency: str) -> str:
    """``(1250, "EUR")`` is ``"12.50"``."""
    return format(Decimal(minor).scaleb(-decimals_of(currency)), "f")
