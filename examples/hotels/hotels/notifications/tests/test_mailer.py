"""Connections to the mail server are used again, and no letter is lost or sent twice for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from hotels.notifications import mailer
from hotels.notifications.mailer import CONNECTIONS, Mail, Mailer, NotNow
from hotels.notifications.settings import NotificationsSettings


class Office:
    """A mail server that remembers who came, and can be rude."""

    def __init__(self) -> None:
        self.url = ""
        self.letters: list[str] = []
        self.visits: list[SMTP] = []
        self.open = 0
        self.left = asyncio.Event()
        self.goodbyes = 0
        self.hang_up_on = b""
        self.wait_for: asyncio.Event | None = None
        self.busy = asyncio.Event()

    async def handle_MAIL(self, server: SMTP, _s: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's
        if address.startswith("nobody"):
            return "550 not from you"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, _s: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802 - aiosmtpd's
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        content = envelope.content
        assert isinstance(content, bytes)
        self.busy.set()
        if self.wait_for is not None:
            await self.wait_for.wait()
        self.letters.append(f"{envelope.rcpt_tos[0]} {content.decode().strip()}")
        if self.hang_up_on and self.hang_up_on in content:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        self.goodbyes += 1
        return "221 Bye"

    def hang_up(self) -> None:
        """End every connection, as servers do with idle ones."""
        for visit in self.visits:
            if isinstance(visit.transport, asyncio.Transport):
                visit.transport.abort()


class Visit(SMTP):
    """A session that its office knows of."""

    def __init__(self, office: Office) -> None:
        super().__init__(office, loop=asyncio.get_running_loop())
        self.office = office

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.office.visits.append(self)
        self.office.open += 1

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.office.open -= 1
        self.office.left.set()


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    made = Office()
    server = await asyncio.get_running_loop().create_server(lambda: Visit(made), "127.0.0.1", 0)
    made.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()
    made.hang_up()
    await server.wait_closed()


@asynccontextmanager
async def posting(office: Office) -> AsyncIterator[Mailer]:
    made = Mailer(NotificationsSettings(smtp_url=office.url))
    await made.start()
    yield made
    await made.stop()


def mail(text: str, recipient: str = "ada@guest.example") -> Mail:
    return Mail(sender="desk@site.example", recipient=recipient, content=f"{text}\r\n".encode())


async def test_letters_that_follow_each_other_share_a_connection(office: Office) -> None:
    async with posting(office) as post:
        for text in ("one", "two", "three"):
            await post.send(mail(text))

    assert office.letters == ["ada@guest.example one", "ada@guest.example two", "ada@guest.example three"]
    assert len(office.visits) == 1


async def test_a_letter_looks_up_no_name_of_this_machine(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DNS that takes long, in one of a few threads that all share."""

    monkeypatch.setattr(socket, "getfqdn", lambda: "looked.up.example")
    async with posting(office) as post:
        await post.send(mail("one"))
        assert office.visits[0].session.host_name == socket.gethostname()


async def test_a_connection_that_the_server_ended_is_replaced(office: Office) -> None:
    async with posting(office) as post:
        await post.send(mail("one"))
        office.hang_up()
        await post.send(mail("two"))  # before anybody could notice
        office.hang_up()
        await asyncio.wait_for(office.left.wait(), 5)
        await post.send(mail("three"))

    assert [letter.split()[1] for letter in office.letters] == ["one", "two", "three"]


async def test_a_letter_that_the_server_may_have_is_not_sent_again(office: Office) -> None:
    async with posting(office) as post:
        await post.send(mail("one"))
        office.hang_up_on = b"two"
        with pytest.raises(aiosmtplib.SMTPServerDisconnected):
            await post.send(mail("two"))
        await post.send(mail("three"))

    assert [letter.split()[1] for letter in office.letters] == ["one", "two", "three"]


async def test_a_refused_recipient_is_the_callers_affair_and_nobody_elses(office: Office) -> None:
    async with posting(office) as post:
        await post.send(mail("one"))
        with pytest.raises(aiosmtplib.SMTPRecipientRefused, match="no such mailbox"):
            await post.send(mail("two", "nobody@guest.example"))
        await post.send(mail("three"))

    assert [letter.split()[1] for letter in office.letters] == ["one", "three"]


async def test_each_letter_of_many_at_once_arrives_once_over_few_connections(office: Office) -> None:
    texts = [f"letter-{number}" for number in range(5 * CONNECTIONS)]
    async with posting(office) as post:
        await asyncio.gather(*(post.send(mail(text, f"{text}@guest.example")) for text in texts))

    assert sorted(office.letters) == sorted(f"{text}@guest.example {text}" for text in texts)
    assert len(office.visits) <= CONNECTIONS


async def test_who_is_cancelled_leaves_no_connection_in_the_middle_of_a_letter(office: Office) -> None:
    async with posting(office) as post:
        office.wait_for = asyncio.Event()
        sending = asyncio.create_task(post.send(mail("one")))
        await asyncio.wait_for(office.busy.wait(), 5)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        office.wait_for.set()
        await post.send(mail("two"))

    assert len(office.visits) == 2
    assert office.letters[-1] == "ada@guest.example two"


async def test_a_server_that_falls_silent_is_given_up_in_time(office: Office) -> None:
    office.wait_for = asyncio.Event()
    post = Mailer(NotificationsSettings(smtp_url=office.url, smtp_timeout=0.2))
    await post.start()
    with pytest.raises(TimeoutError):
        await post.send(mail("one"))
    office.wait_for.set()
    await post.send(mail("two"))
    await post.stop()

    assert len(office.visits) == 2
    assert office.letters[-1] == "ada@guest.example two"


async def test_stopping_lets_a_letter_arrive_and_takes_leave(office: Office) -> None:
    async with posting(office) as post:
        await asyncio.gather(post.send(mail("one")), post.send(mail("two")))
        office.wait_for = asyncio.Event()
        office.busy.clear()
        sending = asyncio.create_task(post.send(mail("three")))
        await asyncio.wait_for(office.busy.wait(), 5)
        asyncio.get_running_loop().call_soon(office.wait_for.set)
    await sending

    assert office.letters[-1] == "ada@guest.example three"
    assert office.goodbyes == len(office.visits) == 2


async def test_an_unused_connection_is_closed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailer, "IDLE", 0.01)
    async with posting(office) as post:
        await post.send(mail("one"))
        await asyncio.wait_for(office.left.wait(), 5)

        assert (office.open, office.goodbyes) == (0, 1)

        await post.send(mail("two"))

    assert len(office.letters) == len(office.visits) == 2


@pytest.mark.parametrize("scheme", ["smtp://me:rotated@", "starttls://"])
async def test_a_server_that_does_not_let_us_in_refuses_no_letter(office: Office, scheme: str) -> None:
    office.url = office.url.replace("smtp://", scheme)
    async with posting(office) as post:
        with pytest.raises(NotNow) as raised:
            await post.send(mail("one"))
    assert "rotated" not in str(raised.value)


async def test_a_refused_sender_is_the_callers_affair(office: Office) -> None:
    async with posting(office) as post:
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match="not from you"):
            await post.send(Mail(sender="nobody@site.example", recipient="ada@guest.example", content=b"one\r\n"))
        await post.send(mail("two"))

    assert office.letters == ["ada@guest.example two"]


@pytest.mark.parametrize(
    "address", ["zoë@guest.example", "ada@gäste.example", "a@b> SIZE=1", "a@b>\r\nRCPT TO:<c@d", "nobody", ""]
)
def test_a_mail_names_nobody_whom_a_server_could_misread(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Mail(sender="desk@site.example", recipient=address, content=b"")
    with pytest.raises(ValueError, match="address"):
        Mail(sender=address, recipient="ada@guest.example", content=b"")
