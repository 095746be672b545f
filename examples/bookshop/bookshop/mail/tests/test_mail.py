"""Letters reach their mail server once, whatever it says at first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, Protocol
from uuid import UUID

import pytest
from aiosmtplib import SMTPDataError
from bookshop.contracts.customers import Customer, Customers
from bookshop.contracts.items import PricedItem
from bookshop.contracts.mail import Letter, Mail
from bookshop.contracts.payments import Payment
from bookshop.contracts.promotions import ReminderDue
from bookshop.contracts.transactions import Address, Order, OrderPlaced, OrderRefunded, OrderStatus
from bookshop.mail.service import MailService
from bookshop.mail.settings import MailSettings
from bookshop.mail.smtp import MailServer, NotNow, options_of

from meristem import ConfigurationError, Contract, Database, Event, Service, once

ORDER_ID = UUID("5a0f5b0e-0000-4000-8000-00000000b00c")
BOOK = PricedItem(book_id=1, title="The Moonstone", author="Wilkie Collins", price=1199, copies=3)
ORDER = Order(
    order_id=ORDER_ID, customer_id=7, status=OrderStatus.PLACED, name="Zoë <Łuczak>", email="zoe@reader.example",
    address=Address(name="Zoë", street="1 Square", postcode="SW1", city="London", country="UK"), items=[BOOK],
    discount=1199, total=2398, buy_two_get_one_free_promo=True, opened=datetime(2030, 1, 1, tzinfo=UTC),
    payment=Payment(order_id=ORDER_ID, amount=2398, reference="ch_1", last4="4242"),
)  # fmt: skip


class Teller(Contract, Protocol, package="bookshop.tests.teller.v1"):
    """Publishes what the tests want to be heard."""

    @once
    async def tell(self, which: str) -> None: ...


class TellerService(Teller, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def tell(self, which: str) -> None:
        told: dict[str, Event] = {
            "placed": OrderPlaced(order_id=ORDER_ID, order=ORDER),
            "refunded": OrderRefunded(order_id=ORDER_ID, order=ORDER),
            "reminded": ReminderDue(customer_id=7, campaign_id=ORDER_ID, name="Zoë", email="zoe@reader.example"),
        }
        async with self.database.begin() as tx:
            await tx.publish(told[which])


def body(letter: EmailMessage, kind: str) -> str:
    part = letter.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


async def told(app: Any, post: Any, which: str) -> EmailMessage:
    await app.client(Teller).tell(which)
    return await asyncio.wait_for(post.letters.get(), 60)


class Readers:
    """One customer, who may change her mind about offers."""

    offers = True

    async def customer(self, customer_id: int) -> Customer:
        return Customer(customer_id=customer_id, name="Zoë", email="zoe@reader.example", offers=self.offers)


@pytest.fixture
def readers() -> Readers:
    return Readers()


@pytest.fixture
def start(run: Callable[..., Any], post: Any, readers: Readers) -> Callable[..., Any]:
    settings = {"mail": {"smtp_url": post.url, "shop_url": "https://books.example/"}}
    return lambda: run(MailService, TellerService, settings=settings, fakes={Customers: readers})


async def test_an_order_is_thanked_for_with_all_that_was_bought(start: Callable[..., Any], post: Any) -> None:
    async with start() as app:
        letter = await told(app, post, "placed")
        await app.settled(timeout=60)
        (sent,) = await app.client(Mail).sent("zoe@reader.example")

    assert letter["Subject"] == "Your books are on their way"
    assert "Łuczak" in letter["To"]
    assert "zoe@reader.example" in letter["To"]
    assert (sent.letter, sent.about, sent.message_id) == (Letter.ORDER, str(ORDER_ID), letter["Message-ID"])
    for kind in ("plain", "html"):
        for shown in ("The Moonstone", "€35.97", "€11.99", "€23.98", f"https://books.example/orders/{ORDER_ID}"):
            assert shown in body(letter, kind), (kind, shown)
    assert "<Łuczak>" not in body(letter, "html")


async def test_each_thing_has_its_letter(start: Callable[..., Any], post: Any) -> None:
    async with start() as app:
        subjects = [(await told(app, post, each))["Subject"] for each in ("refunded", "reminded")]
    assert subjects == ["Your money is on its way back", "Your third book is on us"]


async def test_who_wants_no_offers_any_more_gets_none_that_was_due_before(
    start: Callable[..., Any], post: Any, readers: Readers
) -> None:
    async with start() as app:
        readers.offers = False
        await app.client(Teller).tell("reminded")
        await app.settled(timeout=60)
    assert post.letters.empty()


async def test_what_is_told_twice_is_written_once(start: Callable[..., Any], post: Any) -> None:
    async with start() as app:
        await told(app, post, "placed")
        await app.client(Teller).tell("placed")
        await app.settled(timeout=60)
    assert post.letters.empty()


async def test_a_mail_server_that_is_busy_gets_the_letter_later(start: Callable[..., Any], post: Any) -> None:
    post.refusing = "451 try again later"
    async with start() as app:
        await app.client(Teller).tell("placed")
        await app.eventually(lambda: post.refused, timeout=60)
        assert await app.client(Mail).sent("zoe@reader.example") == []
        post.refusing = ""
        letter = await asyncio.wait_for(post.letters.get(), 60)
    assert letter["Subject"] == "Your books are on their way"


@pytest.mark.parametrize("scheme", ["smtp://me:rotated@", "starttls://"])
async def test_a_server_that_does_not_let_us_in_refuses_no_letter(scheme: str, post: Any) -> None:
    server = MailServer(MailSettings(smtp_url=post.url.replace("smtp://", scheme)))
    with pytest.raises(NotNow) as raised:
        await server.send(note())
    assert "rotated" not in str(raised.value)


async def test_a_letter_that_is_refused_for_good_is_not_sent_again(post: Any) -> None:
    post.refusing = "554 looks like spam"
    with pytest.raises(SMTPDataError):
        await MailServer(MailSettings(smtp_url=post.url)).send(note())


def note() -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"] = "orders@books.example", "zoe@reader.example"
    letter.set_content("Thank you.")
    return letter


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("smtp://127.0.0.1:8025", ("127.0.0.1", 8025, None, None, False, None)),
        ("starttls://me:p%40ss@mail.example", ("mail.example", 587, "me", "p@ss", False, True)),
        ("smtps://mail.example", ("mail.example", 465, None, None, True, False)),
    ],
)
def test_the_url_says_how_to_speak_to_the_mail_server(url: str, options: tuple[Any, ...]) -> None:
    assert tuple(options_of(url).values()) == options


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://", "smtp://me:secret@mail:port"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        options_of(url)
    assert "secret" not in str(raised.value)
