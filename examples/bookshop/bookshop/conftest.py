"""What the tests of the services share: the shop with a bank and a mail server, and customers who buy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest
from sqlalchemy import text

from bookshop.contracts.carts import Carts
from bookshop.contracts.checkout import Checkout, CheckoutRequest, DeliveryAddress, Quote
from bookshop.contracts.customers import Customer, Customers, NewCustomer
from bookshop.contracts.inventory import Inventory
from bookshop.contracts.payments import Card, CardToken, Payments
from bookshop.contracts.transactions import Order, Transactions
from bookshop.system import SHOP
from meristem import Identity, Service, System, using
from meristem.testing import ManualClock, RunningSystem, running

APPROVED, PASSWORD = "4242424242424242", "analytical engine"
HOME = DeliveryAddress(
    name="Ada Lovelace", street="12 St James's Square", postcode="SW1Y 4JH", city="London", country="UK"
)
CHEAP = {"time_cost": 1, "memory_kib": 8}
shop_alone = System("bookshop", services=SHOP)


class Shop:
    """The running shop, and what its customers do."""

    def __init__(self, app: RunningSystem, post: Any, bank: str, clock: ManualClock | None) -> None:
        self.app = app
        self.post = post
        self.bank = bank
        self._clock = clock
        self.carts = app.client(Carts)
        self.checkout = app.client(Checkout)
        self.inventory = app.client(Inventory)
        self.transactions = app.client(Transactions)

    @property
    def clock(self) -> ManualClock:
        """The clock of a shop that was opened with one."""
        assert self._clock is not None
        return self._clock

    async def customer(self, name: str = "ada", *, offers: bool = False) -> Customer:
        """Somebody new."""
        email = f"{name}@reader.example"
        new = NewCustomer(name=name.title(), email=email, password=PASSWORD, offers=offers)
        return await self.app.client(Customers).sign_up(new)

    @contextmanager
    def as_(self, customer: Customer) -> Any:
        """Calls inside the block are the customer's."""
        with using(user=Identity(str(customer.customer_id), customer.name)):
            yield

    async def fill(self, *book_ids: int) -> Quote:
        """Put copies into the cart of whoever is signed in, and look at it."""
        for book_id in book_ids:
            await self.carts.add(book_id)
        return await self.checkout.quote()

    async def card(self, number: str = APPROVED) -> CardToken:
        return await self.app.client(Payments).tokenize(Card(number=number, expiry="09/39", cvc="123"))

    async def request(self, quote: Quote, number: str = APPROVED, **changes: Any) -> CheckoutRequest:
        """The wish to buy what was shown."""
        shown = CheckoutRequest(
            cart_version=quote.cart_version,
            total=quote.total,
            buy_two_get_one_free_promo=quote.offer.applies,
            card=await self.card(number),
            address=HOME,
        )
        return msgspec.structs.replace(shown, **changes)

    async def buy(self, *book_ids: int, number: str = APPROVED) -> Order:
        """Fill a cart and buy it as shown."""
        return await self.checkout.check_out(await self.request(await self.fill(*book_ids), number))

    async def left(self, book_id: int) -> int:
        """How many copies are in stock."""
        (stock,) = await self.inventory.stock([book_id])
        return stock.left

    async def kept_by_the_bank(self, order_id: UUID | None = None) -> int:
        """What the bank has taken and not given back, in cents."""
        path = "statement" if order_id is None else f"charges?reference={order_id}"
        async with aiohttp.ClientSession() as http, http.get(f"{self.bank}/{path}") as answer:
            lines = msgspec.json.decode(await answer.read())
        return sum(round(float(line["net"]) * 100) for line in lines)

    async def subjects(self, count: int) -> list[str]:
        """The subjects of the next letters."""
        return sorted([(await asyncio.wait_for(self.post.letters.get(), 60))["Subject"] for _ in range(count)])


async def give_away(app: RunningSystem, book_id: int) -> None:
    """Have a book cost nothing from now on."""
    await app.database("catalogue").execute(
        text("UPDATE books SET price = 0 WHERE book_id = :book_id"), {"book_id": book_id}
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """`async with run(SomeService, ...) as app:` runs services with databases that vanish with the test."""

    def start(*services: type[Service], **options: Any) -> Any:
        database = f"sqlite:///{tmp_path}/{{service}}.db"
        return running(System("bookshop", services=services), database=database, **options)

    return start


@pytest.fixture
def open_shop(bank: str, post: Any, tmp_path: Path) -> Callable[..., Any]:
    """`async with open_shop(inventory={"first_delivery": 1}) as shop:` runs all services with these settings."""

    @asynccontextmanager
    async def opened(
        clock: ManualClock | None = None, system: System = shop_alone, **settings: dict[str, Any]
    ) -> AsyncIterator[Shop]:
        usual: dict[str, dict[str, Any]] = {
            "customers": CHEAP,
            "payments": {"bank_url": bank, "bank_timeout": 9.0},  # a busy machine is no outage
            "mail": {"smtp_url": post.url, "shop_url": "https://books.example"},
        }
        database = f"sqlite:///{tmp_path}/{{service}}.db"
        options: dict[str, Any] = {} if clock is None else {"clock": clock}
        async with running(system, settings={**usual, **settings}, database=database, **options) as app:
            await app.settled(timeout=60)
            yield Shop(app, post, bank, clock)

    return opened


@pytest.fixture
async def shop(open_shop: Callable[..., Any]) -> AsyncIterator[Shop]:
    """The shop as it is by default."""
    async with open_shop() as opened:
        yield opened
