"""Takes the pictures of the bookshop: `make pictures`."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from bookshop.catalogue.seeding import entries
from bookshop.contracts.items import PricedItem
from bookshop.contracts.payments import Payment
from bookshop.contracts.transactions import Address, NewOrder, Transactions
from bookshop.transactions.service import TransactionsService
from browser import chromium
from pages import PASSWORD, Bookshop, add, fill, ready_to_sell, sign_up
from pictures import take
from playwright.sync_api import Browser, Page, expect
from served import PATIENCE

from meristem.testing import ManualClock, running

OWNER = "owner@books.example"
LOST, FALCON, MOONSTONE = 2, 1, 10
HOME = Address(name="Ada Lovelace", street="12 St James Square", postcode="SW1Y 4JH", city="London", country="UK")
DESK, PHONE = {"width": 1280, "height": 960}, {"width": 390, "height": 844}


def main() -> None:
    """A shop with a month behind it, by day, by night and on a phone."""
    with shop_of_a_month() as shop, chromium() as browser:
        with reader(browser, shop) as page:
            sign_up(page, OWNER)
        with reader(browser, shop) as page:
            take_all(page, "")
        with reader(browser, shop, scheme="dark") as page:
            take_all(page, "-dark")
        with reader(browser, shop, size=PHONE) as page:
            take_all(page, "-phone")


def take_all(page: Page, kind: str) -> None:
    """Home, a book, the cart with the promotion, and the report."""
    page.goto("/")
    take(page, f"bookshop-home{kind}")
    page.goto(f"/books/{MOONSTONE}")
    take(page, f"bookshop-book{kind}")
    for book_id in (MOONSTONE, LOST, FALCON):
        add(page, book_id)
    expect(page.get_by_text("Your free book is in the cart")).to_be_visible()
    take(page, f"bookshop-cart{kind}")
    page.goto("/sign-in")
    fill(page, {"E-mail": OWNER, "Password": PASSWORD})
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.goto("/report")
    take(page, f"bookshop-report{kind}")


@contextmanager
def reader(browser: Browser, shop: Bookshop, scheme: str = "light", size: dict[str, int] = DESK) -> Iterator[Page]:
    """The page of a browser of its own."""
    context = browser.new_context(
        base_url=shop.address, locale="en-GB", color_scheme=scheme, reduced_motion="reduce", viewport=size
    )
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


@contextmanager
def shop_of_a_month() -> Iterator[Bookshop]:
    """A shop that has sold books for a month."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / ".meristem" / "bookshop").mkdir(parents=True)
        asyncio.run(sell(home))
        with ready_to_sell(Bookshop(home)) as shop:
            yield shop


async def sell(home: Path) -> None:
    """Write orders of the past into the record, through its contract and at the time of each."""
    dice, books = random.Random(1914), entries()
    clock = ManualClock(datetime.now(UTC).replace(hour=0, minute=5) - timedelta(days=29))
    database = f"sqlite:///{home}/.meristem/bookshop/{{service}}.db"
    async with running("bookshop.system:system", only=[TransactionsService], clock=clock, database=database):
        for day in range(30):
            for _ in range(dice.randint(2, 5) + day // 5):
                picked = dice.sample(books, dice.choice((1, 1, 1, 2, 2, 3, 3, 3, 4)))
                await order(Transactions.client(), UUID(int=dice.getrandbits(128), version=4), picked, dice)
            clock._now += timedelta(days=1)


async def order(transactions: Transactions, order_id: UUID, picked: list, dice: random.Random) -> None:
    """An order of somebody, with the promotion where it has three books."""
    items = [PricedItem(book_id=b.book_id, title=b.title, author=b.author, price=b.price, copies=1) for b in picked]
    discount = min(item.price for item in items) if len(items) > 2 else 0
    total = sum(item.price for item in items) - discount
    new = NewOrder(
        order_id=order_id,
        customer_id=dice.randint(10_000, 2_000_000),
        name="A reader",
        email="reader@books.example",
        address=HOME,
        items=items,
        discount=discount,
        total=total,
        buy_two_get_one_free_promo=bool(discount),
    )
    await transactions.open(new)
    await transactions.settle(Payment(order_id=order_id, amount=total, reference=str(order_id), last4="4242"))
    await transactions.place(order_id)


if __name__ == "__main__":
    main()
