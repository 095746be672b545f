"""A reader shops while one service after the other is killed or stands still: pages stay, and nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from html import unescape
from pathlib import Path

import httpx
import pytest
from pages import PASSWORD, Bookshop
from served import CARD, eventually
from supervised_system import Supervised

pytestmark = [pytest.mark.xdist_group("bookshop failures"), pytest.mark.timeout(300)]

SPLIT = Path(__file__).parents[1] / "placements" / "split.toml"
HOME = {"name": "Ada", "street": "12 St James Square", "postcode": "SW1Y 4JH", "city": "London", "country": "UK"}
MOONSTONE, HOUND, FALCON = 10, 3, 1
TO_BUY = ("carts-0", "inventory-0", "payments-0", "transactions-0", "checkout-0")
OTHERS = ("catalogue-0", "inventory-0", "customers-0", "promotions-0", "mail-0", "recommendations-0", "training-0")


class SplitShop(Supervised, Bookshop):
    """The shop with each service in a process of its own."""

    name = "bookshop"


class Reader:
    """A browser without scripts."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, address: str) -> str:
        """A page that must be there."""
        answer = self.http.get(address)
        assert answer.status_code == 200, f"{address}: {answer.status_code}\n{answer.text}"
        return unescape(answer.text)

    def persists(self, address: str, shows: str) -> str:
        """A page that is asked for until it shows something: services come back, and breakers close."""
        return eventually(lambda: unescape(self.http.get(address).text), lambda page: shows in page)

    def send(self, form_at: str, to: str, **fields: str) -> httpx.Response:
        page = self.get(form_at)
        found = re.findall(r'name="(\w+)" value="([^"]*)"', page[page.index("<main") :])
        return self.http.post(to, data=dict(found) | fields)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SplitShop]:
    opened = SplitShop(tmp_path_factory.mktemp("split"), placement=SPLIT, BOOKSHOP_WEB_PATIENCE="1")
    try:
        opened.started()
        opened.whole()
        eventually(opened.has_stock, bool)
        yield opened
    finally:
        opened.stop()


def test_a_reader_shops_on_while_services_stand_still_and_die(shop: SplitShop) -> None:
    with closing(httpx.Client(base_url=shop.address, timeout=60.0, follow_redirects=True)) as http:
        reader = Reader(http)
        shop_on(shop, reader)
        buy(shop, reader)
        read_on(shop, reader)


def shop_on(shop: SplitShop, reader: Reader) -> None:
    """From the shelves to a full cart and an account."""
    with ExitStack() as still:
        for label in ("recommendations-0", "recommendations-1", "promotions-0", "customers-0", "mail-0"):
            still.enter_context(shop.frozen(label))
        reader.persists("/", "See all 22")  # the shelves, without what would be said by those
        reader.persists(f"/books/{MOONSTONE}", "In stock")
        for book_id in (MOONSTONE, HOUND, FALCON):
            assert reader.send(f"/books/{book_id}", "/cart/add", copies="1").status_code == 200
        cart = reader.get("/cart")
        assert "Whether a book is free for you cannot be known for a moment" in cart
        assert "€34.97" in cart  # the full price, and no other
    with shop.frozen("catalogue-0"):
        assert "Our shelves cannot be reached for a moment" in reader.get("/")
    with ExitStack() as still:
        for label in TO_BUY:
            still.enter_context(shop.frozen(label))
        reader.persists("/", "See all 22")
        assert "The Moonstone" in reader.get(f"/books/{MOONSTONE}")
        closed = reader.http.get("/cart")
        assert (closed.status_code, "A part of our shop is closed for a moment" in closed.text) == (503, True)
    shop.kill("carts-0")
    cart = reader.persists("/cart", "Your free book is in the cart")
    assert all(title in cart for title in ("The Moonstone", "The Hound of the Baskervilles", "The Maltese Falcon"))
    signed_up = reader.send("/sign-up", "/sign-up", name="Ada", email="ada@books.example", password=PASSWORD)
    assert "Welcome, Ada" in signed_up.text


def buy(shop: SplitShop, reader: Reader) -> None:
    """Send the till's form until the order stands, with a service killed before each of the first times."""
    page = reader.persists("/checkout", "€24.98")
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page[page.index("<main") :])) | HOME | CARD
    for label in ("payments-0", "transactions-0", "checkout-0"):
        shop.kill(label)
        reader.http.post("/checkout", data=form)
    eventually(lambda: reader.http.post("/checkout", data=form).text, lambda text: "Thank you, Ada" in text)
    shop.whole()
    assert reader.persists("/orders", "one of them free").count("order-line") == 1
    assert sum(float(line["net"]) for line in shop.statement()) == 24.98
    assert "ours to give" not in reader.get("/")
    eventually(lambda: [each["subject"] for each in shop.mails("ada@books.example")], bool)


def read_on(shop: SplitShop, reader: Reader) -> None:
    """The order is there when all that had no part in it so far were killed, too, and the reader is still known."""
    for label in OTHERS:
        shop.kill(label)
    assert reader.persists("/orders", "one of them free").count("order-line") == 1
    shop.whole()
    reader.persists("/", "See all 22")
    assert "The Moonstone" in reader.persists(f"/books/{MOONSTONE}", "In stock")
    assert len(shop.mails("ada@books.example")) == 1
