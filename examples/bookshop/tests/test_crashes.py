"""`kill -9` at every step of a checkout: after the restart all of it has happened, once, or nothing is left of it.

Each point costs a start of the shop, so a day has some of them, and `make faults` has all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import CARD, DECLINED, DYING, eventually
from shops import Shop

from tests.suites.sampled import sampled

BOOKS = (10, 3, 1)  # 11.99, 9.99 and 12.99: the second is free
PRICE = 1199 + 1299

OPENING = ["before Checkout.check_out"]  # as nothing is begun, nothing is left
# Of each step the worst moment: what it does has happened, and the journal doesn't know it yet.
GOING = [
    "began check_out",
    "after Carts.take",
    "after Transactions.open",
    "sql inventory UPDATE stock",
    "after Inventory.reserve",
    "before Payments.charge",
    "after Payments.charge",
    "call Payments.charge",
    "after Transactions.settle",
    "sql inventory UPDATE reservations",
    "after Inventory.confirm",
    "2 sql transactions UPDATE transactions",
    "after Transactions.place",
    "published bookshop.transactions.v1.OrderPlaced",
    "ended check_out",
    "sql mail INSERT INTO letters",
    "delivered bookshop.transactions.v1.OrderPlaced to mail",
]
DECLINING = [
    "after Payments.charge",
    "undo Inventory.release",
    "sql transactions UPDATE transactions",
    "after Carts.put_back",
    "ended check_out",
]
PAYING_BACK = ["after Payments.refund", "undo Payments.refund", "undo Transactions.fail"]
REFUNDING = [
    "sql transactions UPDATE transactions",
    "after Payments.refund",
    "after Inventory.release",
    "2 sql transactions UPDATE transactions",
    "published bookshop.transactions.v1.OrderRefunded",
    "delivered bookshop.transactions.v1.OrderRefunded to mail",
]


class Story:
    """A customer who buys three books with the promotion, and what everybody knows of it afterwards."""

    def __init__(self, shop: Shop, title: str, card: dict[str, str] = CARD) -> None:
        self.shop = shop
        self.key = title
        self.customer = shop.new_customer()
        self.wish = self.customer.wish(*BOOKS, card=card)
        self.stock = shop.stock()
        assert self.wish["total"] == PRICE

    def check_out(self) -> httpx.Response:
        return self.customer.check_out(self.wish, self.key)

    def refund(self) -> httpx.Response:
        (order,) = self.customer.orders()
        return self.customer.refund(order["order_id"], f"refund {self.key}")

    def at_rest(self) -> list[dict[str, Any]]:
        """The customer's orders when nothing is left to do for anybody."""
        eventually(self.shop.owed, lambda owed: not owed)
        return self.customer.orders()

    def taken(self) -> dict[int, int]:
        """How many copies fewer there are than before."""
        now = self.shop.stock()
        return {book_id: left - now[book_id] for book_id, left in self.stock.items() if left != now[book_id]}

    def net(self) -> list[str]:
        """What the bank has kept of each charge for the customer's orders, also of those that came to nothing."""
        of_customer = "SELECT order_id FROM transactions WHERE email = ?"
        found = self.shop.rows("transactions", of_customer, self.customer.email)
        ids = [f"{id_[:8]}-{id_[8:12]}-{id_[12:16]}-{id_[16:20]}-{id_[20:]}" for (id_,) in found]
        return [charge["net"] for each in ids for charge in self.shop.charges(each)]

    def is_complete(self) -> None:
        (order,) = self.customer.orders()
        assert (order["status"], order["total"], order["buy_two_get_one_free_promo"]) == ("placed", PRICE, True)
        assert order["payment"]["amount"] == PRICE
        assert self.net() == ["24.98"]
        assert self.taken() == dict.fromkeys(BOOKS, 1)
        assert self.shop.reservation(order["order_id"]) == ["confirmed"]
        assert self.customer.cart() == {}
        assert self.customer.read("promotion") is False
        assert self.customer.letters() == ["Your books are on their way"]

    def is_undone(self, charges: list[str]) -> None:
        assert self.customer.orders() == []
        assert self.net() == charges
        assert self.taken() == {}
        assert self.customer.cart() == dict.fromkeys(BOOKS, 1)
        assert self.customer.read("promotion") is True
        assert self.customer.letters() == []


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    yield from _shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Shop]:
    """A shop that keeps no book until it is paid for: every order is undone after the money was taken."""
    yield from _shop(tmp_path, BOOKSHOP_INVENTORY_RESERVATION_MINUTES="0")


def _shop(home: Path, **environment: str) -> Iterator[Shop]:
    shop = Shop(home, command=(DYING,), **environment)
    try:
        shop.started()
        eventually(shop.owed, lambda owed: not owed)
        yield shop
    finally:
        shop.stop()


@pytest.mark.parametrize("point", sampled([*OPENING, *GOING], 6, "killed at the till"))
def test_a_checkout_is_completed_once_wherever_the_shop_is_killed(shop: Shop, point: str):
    story = Story(shop, f"complete {point}")
    shop.dies(point, story.check_out)
    left = [] if point in OPENING else ["placed"]
    assert [each["status"] for each in story.at_rest()] == left  # by itself, before the customer asks again
    answer = story.check_out()
    assert answer.status_code == 201, answer.text
    (order,) = story.at_rest()
    assert answer.json()["order_id"] == order["order_id"]
    story.is_complete()


@pytest.mark.parametrize("point", sampled(DECLINING, 2, "killed while a card is declined"))
def test_a_declined_checkout_is_undone_wherever_the_shop_is_killed(shop: Shop, point: str):
    story = Story(shop, f"declined {point}", DECLINED)
    shop.dies(point, story.check_out)
    story.at_rest()
    answer = story.check_out()
    assert (answer.status_code, answer.json()["fault"]) == (402, "CardDeclined")
    story.at_rest()
    story.is_undone([])


def test_an_order_that_lost_its_books_is_paid_back_wherever_the_shop_is_killed(forgetful: Shop):
    for point in sampled(PAYING_BACK, 1, "killed while an order is paid back"):
        story = Story(forgetful, f"paid back {point}")
        forgetful.dies(point, story.check_out)
        story.at_rest()
        answer = story.check_out()
        assert (answer.status_code, answer.json()["fault"]) == (409, "ReservationExpired")
        story.at_rest()
        story.is_undone(["0.00"])


@pytest.mark.parametrize("point", sampled(REFUNDING, 2, "killed while books are paid back"))
def test_a_refund_gives_everything_back_but_the_promotion_wherever_the_shop_is_killed(shop: Shop, point: str):
    story = Story(shop, f"refunded {point}")
    assert story.check_out().status_code == 201
    story.at_rest()
    shop.dies(point, story.refund)
    story.at_rest()
    answer = story.refund()
    assert (answer.status_code, answer.json()["status"]) == (200, "refunded"), answer.text
    (order,) = story.at_rest()
    assert (order["status"], order["buy_two_get_one_free_promo"]) == ("refunded", True)
    assert story.net() == ["0.00"]
    assert story.taken() == {}
    assert story.customer.read("promotion") is False
    assert story.customer.letters() == ["Your books are on their way", "Your money is on its way back"]
