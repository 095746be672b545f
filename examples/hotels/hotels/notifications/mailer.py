"""Hands letters to the mail server."""

from __future__ import annotations

from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiosmtplib
import msgspec

from hotels.notifications.settings import NotificationsSettings
from meristem import ConfigurationError

DEFAULT_PORTS = {"smtp": 25, "starttls": 587, "smtps": 465}


class MailServer(msgspec.Struct, frozen=True):
    """Where a mail server is and how to speak to it; `start_tls` None means: if the server offers it."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: bool = False
    start_tls: bool | None = None


def mail_server(url: str) -> MailServer:
    """Read the URL of a mail server; raises ConfigurationError that doesn't repeat it: it may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ConfigurationError(
            "smtp_url cannot be used: write smtp://host:port, starttls://user:password@host or smtps://user:password@host"
        )
    return MailServer(
        host=parts.hostname,
        port=port or DEFAULT_PORTS[parts.scheme],
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=parts.scheme == "smtps",
        start_tls={"smtp": None, "starttls": True, "smtps": False}[parts.scheme],
    )


class Mailer:
    """One connection a letter: a hotel site writes few, and a mail server may end an idle connection at any time."""

    def __init__(self, settings: NotificationsSettings) -> None:
        self._server = mail_server(settings.smtp_url)
        self._timeout = settings.smtp_timeout

    async def send(self, letter: EmailMessage) -> None:
        """Hand over a letter; raises what aiosmtplib raises when the server can't be reached or refuses it."""
        await aiosmtplib.send(
            letter,
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.user,
            password=self._server.password,
            use_tls=self._server.tls,
            start_tls=self._server.start_tls,
            timeout=self._timeout,
        )
