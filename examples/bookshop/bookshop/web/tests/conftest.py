"""The shop's pages over its services in this process, and a reader who opens them and sends their forms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from html import unescape
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bookshop.conftest import CHEAP, PASSWORD
from bookshop.system import SERVICES
from bookshop.web.app import create_app
from bookshop.web.settings import WebSettings
from quart import Quart

from meristem import Call, CallError, Code, Handler, System
from meristem.contracts.call import connected
from meristem.testing import RunningSystem, running

OWNER = "owner@books.example"
PATIENCE = 9.0  # seconds, for a busy machine
CARD = {"number": "4242 4242 4242 4242", "expiry": "9/39", "cvc": "123"}
DECLINED = {**CARD, "number": "4000000000000002"}
HOME = {
    "name": "Ada Lovelace",
    "street": "12 St James Square",
    "postcode": "SW1Y 4JH",
    "city": "London",
    "country": "United Kingdom",
}


class Outages:
    """A middleware that refuses the operations that a test has broken, as a service that is away.

    `waits` has the seconds that were left for the latest call of each operation.
    """

    def __init__(self) -> None:
        self.of: set[str] = set()
        self.waits: dict[str, float | None] = {}

    def __call__(self, handler: Handler) -> Handler:
        async def handled(call: Call) -> Any:
            service, _, _ = call.operation.label.partition(".")
            self.waits[call.operation.label] = call.context.remaining()
            if service in self.of or call.operation.label in self.of:
                raise CallError(Code.UNAVAILABLE, "away", may_have_happened=False)
            return await handler(call)

        return handled


class Page:
    """An answer, read to its end."""

    def __init__(self, response: Any, body: bytes) -> None:
        self.status: int = response.status_code
        self.headers = response.headers
        self.html = body.decode(errors="replace")
        plain = re.sub(r"<(script|style|svg).*?</\1>|<[^>]+>", " ", self.html, flags=re.DOTALL)
        self.text = re.sub(r"\s+", " ", unescape(plain))

    @property
    def heading(self) -> str:
        found = re.search(r"<h1[^>]*>(.*?)</h1>", self.html, re.DOTALL)
        return unescape(re.sub(r"<[^>]+>", "", found[1])) if found else ""

    def hidden(self) -> dict[str, str]:
        """The hidden fields of the page's own form."""
        main = self.html[self.html.index("<main") :]
        return {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', main)}


class Reader:
    """A browser without scripts: it keeps cookies and sends the forms it was given."""

    numbers = count(1)

    def __init__(self, app: Quart) -> None:
        self.client = app.test_client()

    async def get(self, address: str, **options: Any) -> Page:
        response = await self.client.get(address, **options)
        return Page(response, await response.get_data(as_text=False))

    async def post(self, address: str, form: dict[str, str], **options: Any) -> Page:
        response = await self.client.post(address, form=form, **options)
        return Page(response, await response.get_data(as_text=False))

    async def send(self, address: str, **fields: str) -> Page:
        """Open the page with a form, fill it in and send it."""
        page = await self.get(address)
        return await self.post(address, {**page.hidden(), **fields})

    async def follow(self, page: Page) -> Page:
        assert page.status == 303, page.text
        return await self.get(page.headers["Location"])

    async def add(self, *book_ids: int) -> Page:
        """Put a copy of each book into the cart; gives the cart's page."""
        for book_id in book_ids:
            book = await self.get(f"/books/{book_id}")
            assert book.status == 200, book.text
            page = await self.post("/cart/add", {**book.hidden(), "copies": "1"})
            assert page.status == 303, page.text
        return await self.follow(page)

    async def sign_up(self, email: str = "") -> str:
        """Become a customer; gives the e-mail address."""
        email = email or f"ada{next(self.numbers)}@reader.example"
        page = await self.send("/sign-up", name="Ada Lovelace", email=email, password=PASSWORD)
        assert page.status == 303, page.text
        return email

    async def check_out(self, **card: str) -> Page:
        return await self.send("/checkout", **HOME, **(card or CARD))


@pytest.fixture(scope="module")
def outages() -> Outages:
    return Outages()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(
    module_bank: str, outages: Outages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningSystem]:
    """All services, started once for the tests of a module; each test has readers of its own."""
    folder: Path = tmp_path_factory.mktemp("shop")
    settings: dict[str, dict[str, Any]] = {
        "customers": CHEAP,
        "payments": {"bank_url": module_bank, "bank_timeout": 9.0},  # a busy machine is no outage
        "mail": {"smtp_url": "smtp://127.0.0.1:9"},  # nobody is there: orders don't wait for letters
        "recommendations": {"readers": 0},
        "inventory": {"first_delivery": 20},
    }
    system = System("bookshop", services=SERVICES, middleware=[outages])
    async with running(system, settings=settings, database=f"sqlite:///{folder}/{{service}}.db") as app:
        await app.settled(timeout=60)  # each book has come to the shelves and to the stock
        yield app


@pytest.fixture
def site(shop: RunningSystem, outages: Outages) -> Quart:
    """The pages, all of whose services are there when a test begins."""
    outages.of.clear()
    made = create_app(WebSettings(secret="only for tests", owners=frozenset({OWNER}), patience=PATIENCE))
    pages = made.asgi_app

    async def hosted(scope: Any, receive: Any, send: Any) -> None:
        with connected(shop):
            await pages(scope, receive, send)

    made.asgi_app = hosted  # type: ignore[method-assign]
    return made


@pytest.fixture
def new_reader(site: Quart) -> Callable[[], Reader]:
    """Gives another browser each time."""
    return lambda: Reader(site)


@pytest.fixture
def reader(new_reader: Callable[[], Reader]) -> Reader:
    return new_reader()
