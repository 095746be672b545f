"""The SMTP side: mail is on the disk before the sender hears 250."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

from .maildir import Maildir

_log = logging.getLogger(__name__)
_LARGEST_MESSAGE = 32 * 2**20


class _Delivery:
    """What aiosmtpd calls when a message has arrived."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        try:
            for recipient in dict.fromkeys(envelope.rcpt_tos):
                await asyncio.to_thread(self._maildir.deliver, raw, envelope.mail_from or "", recipient)
        except OSError:
            _log.exception("a message could not be stored; the sender is asked to try again")
            return "451 4.3.0 The message could not be stored, try again later"
        return "250 2.6.0 Stored"


@asynccontextmanager
async def smtp_server(maildir: Maildir, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Listen on ``host``; port 0 takes a free one. Gives the address in use, and on leaving ends the open sessions."""
    loop = asyncio.get_running_loop()
    sessions: weakref.WeakSet[SMTP] = weakref.WeakSet()

    def session() -> SMTP:
        sessions.add(new := SMTP(_Delivery(maildir), loop=loop, data_size_limit=_LARGEST_MESSAGE, enable_SMTPUTF8=True))
        return new

    try:
        server = await loop.create_server(session, host, port)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the mailbox can't listen at {host}:{port} ({os.strerror(error.errno or 0)}): another one may run there. "
            "Set MAIL_SMTP_PORT to a free port, and that in the setting smtp_url of whoever sends letters",
        ) from error
    try:
        name = server.sockets[0].getsockname()
        yield name[0], name[1]
    finally:
        server.close()
        for open_session in list(sessions):
            if open_session.transport is not None:
                open_session.transport.close()
        await server.wait_closed()
