"""Hands letters to the mail server."""

from __future__ import annotations

import asyncio
import contextlib
from socket import gethostname
from urllib.parse import unquote, urlsplit

import aiosmtplib
import msgspec
from aiosmtplib import SMTPStatus

from hotels.addresses import plain
from hotels.notifications.settings import NotificationsSettings
from meristem import ConfigurationError

CONNECTIONS = 8
"""At once; a letter for which there is none waits. Mail servers commonly allow a client twenty."""

IDLE = 30.0
"""Seconds after which an unused connection is closed; a server waits five minutes (RFC 5321, section 4.5.3.2.7)."""

DEFAULT_PORTS = {"smtp": 25, "starttls": 587, "smtps": 465}


class NotNow(aiosmtplib.SMTPException, ConnectionError):
    """The mail server takes no letter now: codes of 400 to 499 (RFC 5321, section 4.2.1), or a closed door."""


class Mail(msgspec.Struct, frozen=True):
    """A letter as it goes over the wire, and who is named on its envelope; raises ValueError for what is no address."""

    sender: str
    recipient: str
    content: bytes

    def __post_init__(self) -> None:
        plain(self.sender)
        plain(self.recipient)


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
    """Connections to the mail server, each for one letter at a time and open until nothing was sent for a while.

    A server may end an idle connection whenever it likes. That shows before the letter itself is sent, and then another
    connection is opened; from there on a failure is the caller's, because the server may have the letter.
    """

    def __init__(self, settings: NotificationsSettings) -> None:
        self._server = mail_server(settings.smtp_url)
        self._timeout = settings.smtp_timeout
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._idle: dict[aiosmtplib.SMTP, asyncio.TimerHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_open = True

    async def start(self) -> None:
        self._is_open = True

    async def stop(self) -> None:
        """Let the letters that are under way arrive, as long as one may take, and take leave of the server."""
        self._is_open = False
        for client in list(self._idle):
            self._leave(client)
        held = 0
        with contextlib.suppress(TimeoutError):  # a letter that takes longer fails where it was sent
            async with asyncio.timeout(self._timeout):
                while held < CONNECTIONS:
                    await self._places.acquire()
                    held += 1
        for _ in range(held):
            self._places.release()
        await asyncio.gather(*self._leaving)

    async def send(self, mail: Mail) -> None:
        """Hand over a letter; raises what aiosmtplib raises when the server can't be reached or refuses it.

        Raises TimeoutError when all of that takes too long, NotNow when the server takes no letter for the moment.
        """
        try:
            async with self._places, asyncio.timeout(self._timeout):
                await self._send(mail)
        except aiosmtplib.SMTPResponseException as refusal:
            if 400 <= refusal.code < 500:
                raise NotNow(f"the mail server said {refusal.code}: {refusal.message}") from refusal
            raise

    async def _send(self, mail: Mail) -> None:
        client = await self._ready_for(mail)
        try:
            await client.data(mail.content)
        except BaseException:
            client.close()
            raise
        self._put_back(client)

    async def _ready_for(self, mail: Mail) -> aiosmtplib.SMTP:
        """A connection over which the server has said that it takes the letter."""
        client = self._take_idle()
        if client is not None:
            try:
                await _offer(client, mail)
            except aiosmtplib.SMTPException:
                client.close()  # the server no longer wants this connection, or not this letter: a new one tells
            except BaseException:
                client.close()
                raise
            else:
                return client
        client = self._client()
        try:
            await _enter(client)
            await _offer(client, mail)
        except BaseException:
            client.close()
            raise
        return client

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            # Else it looks up this machine's name in the threads that all share: without DNS none of them is left.
            local_hostname=gethostname(),
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.user,
            password=self._server.password,
            use_tls=self._server.tls,
            start_tls=self._server.start_tls,
            timeout=None,  # each answer would have a limit of its own; the whole letter has one
        )

    def _take_idle(self) -> aiosmtplib.SMTP | None:
        """The connection that was used last: the others may grow old."""
        while self._idle:
            client, expiry = self._idle.popitem()
            expiry.cancel()
            if client.is_connected:
                return client
        return None

    def _put_back(self, client: aiosmtplib.SMTP) -> None:
        expiry = asyncio.get_running_loop().call_later(IDLE, self._leave, client)
        self._idle[client] = expiry
        if not self._is_open:
            self._leave(client)

    def _leave(self, client: aiosmtplib.SMTP) -> None:
        self._idle.pop(client).cancel()
        leaving = asyncio.get_running_loop().create_task(_quit(client, self._timeout))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)


async def _enter(client: aiosmtplib.SMTP) -> None:
    """Connect and sign in; a server that doesn't let us in, as after a change of the password, refuses no letter."""
    try:
        await client.connect()
    except aiosmtplib.SMTPException as failure:
        if isinstance(failure, OSError):  # an outage as it is
            raise
        raise NotNow(f"the mail server does not let us in: {failure}") from failure


async def _offer(client: aiosmtplib.SMTP, mail: Mail) -> None:
    """Name sender and recipient; raises SMTPException when the server will not hear of one of them.

    A mail's addresses are plain, and the library's own commands would parse each of them once more.
    """
    if client.is_ehlo_or_helo_needed:
        await _greet(client)
    size = [b"SIZE=%d" % len(mail.content)] if client.supports_extension("size") else []
    answer = await client.execute_command(b"MAIL", b"FROM:<%b>" % mail.sender.encode("ascii"), *size)
    if answer.code != SMTPStatus.completed:
        raise aiosmtplib.SMTPSenderRefused(answer.code, answer.message, mail.sender)
    answer = await client.execute_command(b"RCPT", b"TO:<%b>" % mail.recipient.encode("ascii"))
    if answer.code not in (SMTPStatus.completed, SMTPStatus.will_forward):
        raise aiosmtplib.SMTPRecipientRefused(answer.code, answer.message, mail.recipient)


async def _greet(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()


async def _quit(client: aiosmtplib.SMTP, timeout: float) -> None:  # noqa: ASYNC109 - nobody waits for it alone
    with contextlib.suppress(aiosmtplib.SMTPException, TimeoutError):  # it has left already
        async with asyncio.timeout(timeout):
            await client.quit()
    client.close()
