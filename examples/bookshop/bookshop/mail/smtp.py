"""Handing letters to a mail server by SMTP."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from bookshop.mail.settings import MailSettings
from meristem import ConfigurationError

PORTS = {"smtp": 25, "starttls": 587, "smtps": 465}


class NotNow(ConnectionError):
    """The mail server takes no letter for the moment: an outage (RFC 5321, section 4.2.1, codes of 400 to 499)."""


class MailServer:
    """Sends letters, each over a connection of its own."""

    def __init__(self, settings: MailSettings) -> None:
        self._options = options_of(settings.smtp_url)
        self._timeout = settings.smtp_timeout

    async def send(self, letter: EmailMessage) -> None:
        """Hand over a letter; raises what aiosmtplib raises when the server can't be reached or refuses it."""
        try:
            await aiosmtplib.send(letter, timeout=self._timeout, **self._options)
        except aiosmtplib.SMTPResponseException as refusal:
            if 400 <= refusal.code < 500:
                raise NotNow(f"the mail server said {refusal.code}: {refusal.message}") from refusal
            raise
        except aiosmtplib.SMTPRecipientsRefused as refusal:
            if all(400 <= each.code < 500 for each in refusal.recipients):
                raise NotNow("the mail server takes no letter to this address for the moment") from refusal
            raise


def options_of(url: str) -> dict[str, Any]:
    """How to reach the server of a URL; raises ConfigurationError that doesn't repeat it: it may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigurationError(
            "smtp_url cannot be used: write smtp://host:port, starttls://user:password@host or smtps://user:password@host"
        )
    return {
        "hostname": parts.hostname,
        "port": port or PORTS[parts.scheme],
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": parts.scheme == "smtps",
        "start_tls": {"smtp": None, "starttls": True, "smtps": False}[parts.scheme],
    }
