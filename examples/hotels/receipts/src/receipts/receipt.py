"""What a receipt says, and its arithmetic: decimals only, tax computed once per rate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

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
_CURRENCY = re.compile(r"[A-Z]{3}")


class ReceiptError(ValueError):
    """The receipt makes no sense; the message names the field and what to give instead."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who sells or who buys."""

    name: str
    address: Sequence[str] = ()
    """Line by line."""
    email: str = ""
    tax_id: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was bought."""

    description: str
    quantity: int | Decimal
    unit_price: Decimal
    tax_rate: Decimal = Decimal(0)
    """A fraction: ``Decimal("0.06")`` is 6 %."""

    def __post_init__(self) -> None:
        if not isinstance(self.unit_price, Decimal) or not self.unit_price.is_finite():
            raise ReceiptError(f"unit_price of {self.description!r}: give a Decimal, not {self.unit_price!r}.")
        if not isinstance(self.quantity, int | Decimal) or not Decimal(self.quantity).is_finite():
            raise ReceiptError(f"quantity of {self.description!r}: give an int or a Decimal, not {self.quantity!r}.")
        if not isinstance(self.tax_rate, Decimal) or not 0 <= self.tax_rate < 1:
            raise ReceiptError(
                f"tax_rate of {self.description!r}: give a Decimal fraction from 0 to below 1, such as Decimal('0.06') "
                f"for 6 %, not {self.tax_rate!r}."
            )


@dataclass(frozen=True, slots=True)
class TaxShare:
    """The part of a receipt that is taxed at one rate."""

    rate: Decimal
    net: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of a receipt: ``net + tax == total``, to the smallest unit of the currency."""

    net: Decimal
    tax: Decimal
    total: Decimal
    shares: tuple[TaxShare, ...]
    """The highest rate first."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A payment that has been made, and what for."""

    number: str
    issued: date
    seller: Party
    buyer: Party
    lines: Sequence[Line]
    currency: str
    """ISO 4217, such as ``EUR``."""
    payment_reference: str = ""
    payment_method: str = ""
    note: str = ""
    prices_include_tax: bool = True

    def __post_init__(self) -> None:
        if not self.number.strip():
            raise ReceiptError("number: a receipt needs a number.")
        if not self.lines:
            raise ReceiptError("lines: a receipt needs at least one line.")
        if _CURRENCY.fullmatch(self.currency) is None:
            raise ReceiptError(f"currency: give three capital letters, such as EUR, not {self.currency!r}.")

    def names(self) -> tuple[str, ...]:
        """Every text that somebody gave, in the order of the page."""
        parties = (text for each in (self.seller, self.buyer) for text in (each.name, *each.address, each.email))
        described = (line.description for line in self.lines)
        return (*parties, *described, self.note, self.payment_method, self.payment_reference)

    @property
    def is_taxed(self) -> bool:
        """Whether a line has a tax rate; of tax on nothing a receipt says nothing."""
        return any(line.tax_rate for line in self.lines)

    def amount(self, line: Line) -> Decimal:
        """What a line costs, as its price is written: with tax or without."""
        return self.rounded(line.quantity * line.unit_price)

    def totals(self) -> Totals:
        """Net, tax and total. Tax is rounded once per rate, on the sum of that rate's lines."""
        shares = tuple(self._share(rate) for rate in sorted({line.tax_rate for line in self.lines}, reverse=True))
        zero = self.rounded(Decimal(0))
        net = sum((share.net for share in shares), zero)
        tax = sum((share.tax for share in shares), zero)
        return Totals(net, tax, net + tax, shares)

    def rounded(self, amount: Decimal) -> Decimal:
        """Half up, to the smallest unit of the currency."""
        return amount.quantize(Decimal(1).scaleb(-_DECIMALS.get(self.currency, 2)), ROUND_HALF_UP)

    def _share(self, rate: Decimal) -> TaxShare:
        amount = sum((self.amount(line) for line in self.lines if line.tax_rate == rate), Decimal(0))
        if self.prices_include_tax:
            tax = self.rounded(amount * rate / (1 + rate))
            return TaxShare(rate, self.rounded(amount) - tax, tax)
        return TaxShare(rate, self.rounded(amount), self.rounded(amount * rate))
