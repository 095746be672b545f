"""An amount of money with its currency."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from meristem import Message

Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217 code")]


class Money(Message):
    """An amount in a currency; two decimal places."""

    amount: Decimal
    currency: Currency = "EUR"
