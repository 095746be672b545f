"""What is told to customers by mail."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Protocol

from msgspec import Meta

from meristem import Contract, Message, safe


class Letter(Enum):
    """The kinds of mail."""

    ORDER = "order"
    REFUND = "refund"
    REMINDER = "reminder"


class Sent(Message):
    """A mail that was handed to the mail server; `about` is the order's or the campaign's id."""

    letter: Letter
    about: str
    recipient: str
    message_id: str
    sent: datetime


class Mail(Contract, Protocol, package="bookshop.mail.v1"):
    """Writes to customers when something happens to their orders, and when a campaign says so."""

    @safe
    async def sent(self, recipient: Annotated[str, Meta(max_length=254)]) -> list[Sent]:
        """The mails to an address, oldest first."""
        ...
