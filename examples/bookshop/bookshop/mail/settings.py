"""What can be set about mail."""

from __future__ import annotations

from meristem import Settings


class MailSettings(Settings):
    """The mail server, who writes, and where the shop is that letters link to.

    `smtp_url` is `smtp://host:port` (encrypted if the server offers it), `starttls://` (encrypted or not at all) or
    `smtps://` (TLS from the start), each with `user:password@` before the host where the server asks for it. A letter
    is handed over within `smtp_timeout` seconds, or is tried again later.
    """

    smtp_url: str = "smtp://127.0.0.1:8026"
    smtp_timeout: float = 10.0
    sender: str = "Online Books For You <orders@books.example>"
    shop_url: str = "http://127.0.0.1:8000"
