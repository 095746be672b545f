"""Guests and hotels are told what happens to a booking, each letter once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import aiosmtplib
import msgspec
import pytest
from hotels.contracts.documents import Documents, ReceiptIssued
from hotels.contracts.notifications import Letter, LetterSent, Notifications
from hotels.contracts.reservations import Booking, BookingCancelled, BookingConfirmed
from hotels.notifications.events import LetterDue
from hotels.notifications.letters import one_line
from hotels.notifications.mailer import mail_server
from hotels.notifications.service import NotificationsService

from meristem import ConfigurationError, Service
from meristem.testing import ManualClock

PDF = b"%PDF-1.4 a receipt"


class Files(Documents, Service):
    """Documents in which every booking has the same receipt."""

    async def receipt(self, booking_id: UUID) -> bytes:
        return PDF


@pytest.fixture
def writing(run: Callable[..., Any], post: Any) -> Callable[..., Any]:
    @asynccontextmanager
    async def start() -> Any:
        settings = {"notifications": {"smtp_url": post.url, "site_url": "https://lamplight.example"}}
        async with run(Files, NotificationsService, clock=ManualClock(), settings=settings) as app:
            app.notifications = app.service(NotificationsService)
            yield app

    return start


def confirmed(booking: Booking) -> BookingConfirmed:
    return BookingConfirmed(booking_id=booking.booking_id, booking=booking)


def receipt(booking: Booking) -> ReceiptIssued:
    return ReceiptIssued(booking_id=booking.booking_id, number="2030-000007", issued=datetime(2030, 1, 1, tzinfo=UTC))


async def told(app: Any, post: Any, letters: int) -> dict[str, EmailMessage]:
    """So many letters by their recipients, once the service has written down that they were sent."""
    await app.eventually(lambda: len(app.published(LetterSent)), equals=letters, timeout=60)
    arrived = [post.letters.get_nowait() for _ in range(letters)]
    assert post.letters.empty()
    return {letter["To"].addresses[0].addr_spec: letter for letter in arrived}


def text_of(letter: EmailMessage, kind: str) -> str:
    part = letter.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content


@pytest.mark.parametrize("receipt_comes_first", [True, False])
async def test_guest_and_hotel_are_told_in_whatever_order_the_news_come(
    writing: Callable[..., Any], post: Any, booking: Booking, receipt_comes_first: bool
) -> None:
    async with writing() as app:
        news = [(app.notifications.confirmed, confirmed(booking)), (app.notifications.receipt_issued, receipt(booking))]
        for handle, event in reversed(news) if receipt_comes_first else news:
            await handle(event)
        letters = await told(app, post, 2)
        sent = await app.client(Notifications).sent(booking.booking_id)

    assert set(letters) == {booking.guest_email, booking.hotel_email}
    assert {each.letter for each in sent} == {Letter.RECAP, Letter.RESERVATION}
    assert letters[booking.guest_email]["Message-ID"] in {each.message_id for each in sent}


async def test_news_that_come_at_the_same_time_are_both_taken(
    writing: Callable[..., Any], post: Any, booking: Booking
) -> None:
    async with writing() as app:
        for _ in range(5):
            another = msgspec.structs.replace(booking, booking_id=uuid4())
            news = (app.notifications.confirmed(confirmed(another)), app.notifications.receipt_issued(receipt(another)))
            await asyncio.gather(*news)
        assert await app.eventually(lambda: len(app.published(LetterSent)), equals=10, timeout=60) == 10


async def test_the_recap_has_everything_a_guest_needs(writing: Callable[..., Any], post: Any, booking: Booking) -> None:
    async with writing() as app:
        await app.notifications.confirmed(confirmed(booking))
        await app.notifications.receipt_issued(receipt(booking))
        letter = (await told(app, post, 2))[booking.guest_email]

    assert letter["Subject"] == "Your room in Lisbon is booked: Casa do Rio, Friday 7 June 2030"
    assert letter["To"].addresses[0].display_name == "Zoë Łuczak"
    assert letter["Message-ID"].endswith("@lamplight.example>")
    for kind in ("plain", "html"):
        text = text_of(letter, kind)
        for expected in (
            "Zoë Łuczak", "Casa do Rio", "Rua das Flores 12", "Double room", "Friday 7 June 2030", "Sunday 9 June 2030",
            "2 nights", "€1,160.00", "4242", "2030-000007", "5A0F5B0E",
            f"https://lamplight.example/bookings/{booking.booking_id}",
        ):  # fmt: skip
            assert expected in text, (kind, expected)
    (attached,) = letter.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("receipt-2030-000007.pdf", PDF)


async def test_the_hotel_is_told_who_comes_and_has_no_receipt(
    writing: Callable[..., Any], post: Any, booking: Booking
) -> None:
    async with writing() as app:
        await app.notifications.confirmed(confirmed(booking))
        letter = (await told(app, post, 1))[booking.hotel_email]

    assert letter["Subject"] == "New reservation: Zoë Łuczak, Friday 7 June 2030, 2 nights"
    assert "zoe@guest.example" in text_of(letter, "plain")
    assert "4242" not in text_of(letter, "plain") + text_of(letter, "html")
    assert list(letter.iter_attachments()) == []


async def test_both_are_told_of_a_cancellation(writing: Callable[..., Any], post: Any, booking: Booking) -> None:
    async with writing() as app:
        await app.notifications.cancelled(BookingCancelled(booking_id=booking.booking_id, booking=booking))
        letters = await told(app, post, 2)

    assert "€1,160.00" in text_of(letters[booking.guest_email], "plain")
    assert "free again" in text_of(letters[booking.hotel_email], "html")


async def test_a_letter_that_was_sent_is_not_sent_again(
    writing: Callable[..., Any], post: Any, booking: Booking
) -> None:
    due = LetterDue(
        booking_id=booking.booking_id, letter=Letter.RESERVATION, recipient=booking.hotel_email, booking=booking
    )
    async with writing() as app:
        await app.notifications.send(due)
        await app.notifications.send(due)

    assert post.letters.qsize() == 1


async def test_a_letter_that_is_refused_is_tried_again_as_the_same_mail(
    writing: Callable[..., Any], post: Any, booking: Booking
) -> None:
    due = LetterDue(
        booking_id=booking.booking_id, letter=Letter.RESERVATION, recipient=booking.hotel_email, booking=booking
    )
    async with writing() as app:
        post.refusing = "451 try again later"
        with pytest.raises(aiosmtplib.SMTPException) as refused:
            await app.notifications.send(due)
        assert isinstance(refused.value, ConnectionError)  # an outage: the letter waits, and is no dead letter
        first = app.notifications.stationery.message_id(due)
        assert await app.client(Notifications).sent(booking.booking_id) == []

        post.refusing = ""
        await app.notifications.send(due)

    assert post.letters.get_nowait()["Message-ID"] == first


async def test_a_guest_writes_neither_headers_nor_markup_into_a_letter(
    writing: Callable[..., Any], post: Any, booking: Booking
) -> None:
    rude = msgspec.structs.replace(booking, guest_name="Eve\r\nBcc: all@guest.example\x00 <script>alert(1)</script>")
    async with writing() as app:
        await app.notifications.confirmed(confirmed(rude))
        letter = (await told(app, post, 1))[booking.hotel_email]

    assert letter["Bcc"] is None
    assert "<script>" not in text_of(letter, "html")
    assert "&lt;script&gt;" in text_of(letter, "html")


def test_one_line_is_one_line() -> None:
    assert one_line(" a\r\nb\tc\u2028d ") == "a b c d"


@pytest.mark.parametrize(
    ("url", "port", "tls", "start_tls"),
    [
        ("smtp://mail.example", 25, False, None),
        ("starttls://mail.example", 587, False, True),
        ("smtps://mail.example:2465", 2465, True, False),
    ],
)
def test_the_url_says_how_to_speak_to_the_server(url: str, port: int, tls: bool, start_tls: bool | None) -> None:
    server = mail_server(url)

    assert (server.host, server.port, server.tls, server.start_tls) == ("mail.example", port, tls, start_tls)


def test_user_and_password_stand_in_the_url() -> None:
    server = mail_server("smtps://us%40er:pa%3Ass@mail.example")

    assert (server.user, server.password) == ("us@er", "pa:ss")


@pytest.mark.parametrize(
    "url", ["http://us:secret@mail.example", "smtp://us:secret@", "smtp://us:secret@host:port", "secret"]
)
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        mail_server(url)

    assert "secret" not in str(refusal.value)
