"""How letters read: plain text and the same as HTML, from templates."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bookshop.contracts.mail import Letter
from bookshop.mail.settings import MailSettings
from meristem import Message

TEMPLATES = Path(__file__).parent / "templates"
SUBJECTS = {
    Letter.ORDER: "Your books are on their way",
    Letter.REFUND: "Your money is on its way back",
    Letter.REMINDER: "Your third book is on us",
}


class Written(Message):
    """Which letter it is: the same for as long as it is tried to be sent."""

    letter: Letter
    about: str
    name: str
    recipient: str


class Stationery:
    """Writes letters. The same letter about the same to the same address always has the same Message-ID.

    So a letter that was handed over just before a crash, and again after it, is one mail to the programs that read it.
    """

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self._domain = parseaddr(settings.sender)[1].rpartition("@")[2]
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["price"] = price

    def message_id(self, which: Written) -> str:
        """The Message-ID of a letter (RFC 5322, section 3.6.4)."""
        name = f"{which.letter.value} {which.about} {which.recipient}"
        return f"<{uuid5(NAMESPACE_URL, name).hex}@{self._domain}>"

    def write(self, which: Written, written: datetime, **values: Any) -> EmailMessage:
        """A letter, ready to be sent."""
        name, sender = parseaddr(self._settings.sender)
        letter = EmailMessage()
        letter["From"] = Address(name, addr_spec=sender)
        letter["To"] = Address(one_line(which.name), addr_spec=which.recipient)
        letter["Subject"] = SUBJECTS[which.letter]
        letter["Date"] = format_datetime(written)
        letter["Message-ID"] = self.message_id(which)
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's out-of-office reply is wanted
        letter["Content-Language"] = "en"
        shown = {**values, "name": which.name, "shop": name, "url": self._settings.shop_url.rstrip("/")}
        text, html = (
            self._templates.get_template(f"{which.letter.value}.{kind}").render(shown) for kind in ("txt", "html")
        )
        letter.set_content(text)
        letter.add_alternative(html, subtype="html")
        return letter


def price(cents: int) -> str:
    """`€12.50`."""
    return f"€{cents // 100:,}.{cents % 100:02}"


def one_line(text: str) -> str:
    """The text without anything that could end a header's line; it may come from a customer."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
