"""The bodies of the bank's requests and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from .money import is_currency, to_minor

Amount = Annotated[
    str,
    StringConstraints(max_length=20),
    Field(examples=["129.50"], description="A decimal string; never a JSON number."),
]
Currency = Annotated[str, Field(examples=["EUR"], description="ISO 4217")]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CardDetails(_Request):
    number: Annotated[str, StringConstraints(max_length=40), Field(examples=["4242 4242 4242 4242"])]
    expiry: Annotated[str, StringConstraints(max_length=10), Field(examples=["09/29"])]
    cvc: Annotated[str, StringConstraints(max_length=10), Field(examples=["123"])]


class NewCharge(_Request):
    token: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    currency: Currency  # before the amount: the number of decimals depends on it
    amount: Amount
    reference: Reference

    @field_validator("currency")
    @classmethod
    def _is_iso_4217(cls, currency: str) -> str:
        if not is_currency(currency):
            raise ValueError("Write the currency as three capital letters, for example EUR.")
        return currency

    @field_validator("amount")
    @classmethod
    def _is_payable(cls, amount: str, info: ValidationInfo) -> str:
        if "currency" in info.data:
            to_minor(amount, info.data["currency"])
        return amount


class NewRefund(_Request):
    amount: Amount | None = None
    """Nothing means all that is left of the charge."""


class Token(BaseModel):
    token: str
    last4: str
    brand: str


class Charge(BaseModel):
    id: str
    status: Literal["approved"] = "approved"
    amount: Amount
    currency: Currency
    reference: str
    created: str


class Refund(BaseModel):
    id: str
    charge: str
    status: Literal["refunded"] = "refunded"
    amount: Amount
    currency: Currency
    created: str


class StatementLine(Charge):
    """A charge as the bank's own record shows it, with what was given back."""

    brand: str
    last4: str
    refunds: list[Refund]
    refunded: Amount
    net: Amount


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class FieldError(BaseModel):
    field: str
    message: str


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[FieldError] | None = None
    reason: str | None = None
