"""Handing letters to a mail server by SMTP."""

from __future__ import annotations

from email.message import EmailMessage
from socket import gethostname
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from bookshop.mail.settings import MailSettings
from meristem import ConfigurationError

PORTS = {"smtp": 25, "starttls": 587, "smtps": 465}


class NotNow(ConnectionError):
    """The mail server takes no letter for the moment: an outage, which costs a letter no attempt."""


class MailServer:
    """Sends letters, each over a connection of its own."""

    def __init__(self, settings: MailSettings) -> None:
        self._options = options_of(settings.smtp_url)
        self._timeout = settings.smtp_timeout

    async def send(self, letter: EmailMessage) -> None:
        """Hand over a letter; raises what aiosmtplib raises where it is refused for good, and else NotNow."""
        try:
            # This machine's name too: looked up without DNS, it fills the threads that all share.
            await aiosmtplib.send(letter, timeout=self._timeout, local_hostname=gethostname(), **self._options)
        except aiosmtplib.SMTPException as refusal:
            if _is_for_good(refusal):
                raise
            raise NotNow(f"the mail server takes no letter for the moment: {refusal}") from refusal


def _is_for_good(refusal: aiosmtplib.SMTPException) -> bool:
    """Whether it is about this letter or its recipient. A password that is wrong, or no TLS, keeps all letters back."""
    if isinstance(refusal, aiosmtplib.SMTPRecipientsRefused):
        return any(each.code >= 500 for each in refusal.recipients)
    return isinstance(refusal, aiosmtplib.SMTPDataError) and refusal.code >= 500


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
