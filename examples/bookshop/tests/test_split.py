"""The shop in many processes: only one touches the record of sales, and one that fails costs no order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from served import eventually, persistently
from shops import Customer, SplitShop

pytestmark = pytest.mark.timeout(300)  # each wait inside has a bound of its own

BOOKS = (10, 3, 1)  # 11.99, 9.99 and 12.99: the second is free
PRICE = 1199 + 1299
SERVICES = [
    "catalogue",
    "carts",
    "inventory",
    "customers",
    "payments",
    "transactions",
    "promotions",
    "checkout",
    "mail",
]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[SplitShop]:
    shop = SplitShop(tmp_path)
    try:
        yield shop.started()
    finally:
        shop.stop()


def bought(customer: Customer, answer: httpx.Response) -> None:
    """Assert that the order stands, that all agree on it, and that it is one."""
    assert answer.status_code == 201, answer.text
    eventually(customer.shop.owed, lambda owed: not owed)
    (order,) = customer.orders()
    assert (order["order_id"], order["status"], order["total"]) == (answer.json()["order_id"], "placed", PRICE)
    assert order["buy_two_get_one_free_promo"]
    assert [each["net"] for each in customer.shop.charges(order["order_id"])] == ["24.98"]
    assert customer.shop.reservation(order["order_id"]) == ["confirmed"]
    assert customer.cart() == {}
    assert customer.read("promotion") is False
    assert customer.letters() == ["Your books are on their way"]


def alone(shop: SplitShop) -> None:
    """Assert that no process but that of transactions has its database open."""
    customer = shop.new_customer()
    bought(customer, customer.check_out(customer.wish(*BOOKS), "alone"))
    assert shop.who_has_open(shop.database("transactions")) == {"transactions-0"}
    written = {order_id for (order_id,) in shop.rows("transactions", "SELECT order_id FROM transactions")}
    assert UUID(customer.orders()[0]["order_id"]).hex in written


def killed(shop: SplitShop, service: str) -> None:
    """Assert that an order is placed once while a process is killed."""
    customer = shop.new_customer()
    wish, stock = customer.wish(*BOOKS), shop.stock()
    with ThreadPoolExecutor(1) as pool:
        buying = pool.submit(persistently, lambda: customer.check_out(wish, f"killed {service}"))
        shop.kill(f"{service}-0")
        answer = buying.result()
    shop.whole()
    bought(customer, answer)
    assert {book_id: stock[book_id] - shop.stock()[book_id] for book_id in BOOKS} == dict.fromkeys(BOOKS, 1)


def frozen(shop: SplitShop, service: str) -> None:
    """Assert that an order is placed once where a process stood still."""
    customer = shop.new_customer()
    wish = customer.wish(*BOOKS)
    with ThreadPoolExecutor(1) as pool:
        with shop.frozen(f"{service}-0"):
            buying = pool.submit(persistently, lambda: customer.check_out(wish, f"frozen {service}"))
            eventually(lambda: [each for each in shop.owed() if each.startswith("checkout")], bool)
        answer = buying.result()
    bought(customer, answer)


def test_one_process_touches_the_record_of_sales_and_none_that_fails_costs_an_order(shop: SplitShop):
    """One test, for one start of ten processes."""
    shop.whole()
    alone(shop)
    for service in SERVICES:
        killed(shop, service)
    for service in ("payments", "transactions"):
        frozen(shop, service)
