"""The shop in many processes: only one touches the record of sales, and one that fails costs no order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
import pytest
from served import eventually, persistently
from shops import Customer, SplitShop

pytestmark = [pytest.mark.xdist_group("split shop"), pytest.mark.timeout(300)]  # each wait inside has a bound

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


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SplitShop]:
    shop = SplitShop(tmp_path_factory.mktemp("split"))
    try:
        yield shop.started()
    finally:
        shop.stop()


@pytest.fixture
def whole(shop: SplitShop) -> SplitShop:
    """The shop with all its processes at work and nothing left to do."""
    shop.whole()
    eventually(shop.owed, lambda owed: not owed)
    return shop


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


def test_no_process_but_that_of_transactions_has_its_database_open(whole: SplitShop):
    customer = whole.new_customer()
    bought(customer, customer.check_out(customer.wish(*BOOKS), "alone"))
    assert whole.who_has_open(whole.database("transactions")) == {"transactions-0"}
    assert UUID(customer.orders()[0]["order_id"]).hex in {
        order_id for (order_id,) in whole.rows("transactions", "SELECT order_id FROM transactions")
    }


def test_recommendations_have_two_replicas_and_more_processors_and_the_edge_has_one(whole: SplitShop):
    labels = set(whole.replicas())
    assert {"recommendations-0", "recommendations-1", "edge-0"} <= labels
    assert {"edge-1", "recommendations-2"} & labels == set()


@pytest.mark.parametrize("service", SERVICES)
def test_an_order_is_placed_once_whichever_process_is_killed(whole: SplitShop, service: str):
    customer = whole.new_customer()
    wish, stock = customer.wish(*BOOKS), whole.stock()
    with ThreadPoolExecutor(1) as pool:
        buying = pool.submit(persistently, lambda: customer.check_out(wish, f"killed {service}"))
        whole.kill(f"{service}-0")
        answer = buying.result()
    whole.whole()
    bought(customer, answer)
    assert {book_id: stock[book_id] - whole.stock()[book_id] for book_id in BOOKS} == dict.fromkeys(BOOKS, 1)


@pytest.mark.parametrize("service", ["payments", "transactions"])
def test_an_order_is_placed_once_where_a_process_stood_still(whole: SplitShop, service: str):
    customer = whole.new_customer()
    wish = customer.wish(*BOOKS)
    with ThreadPoolExecutor(1) as pool:
        with whole.frozen(f"{service}-0"):
            buying = pool.submit(persistently, lambda: customer.check_out(wish, f"frozen {service}"))
            eventually(lambda: [each for each in whole.owed() if each.startswith("checkout")], bool)
        answer = buying.result()
    bought(customer, answer)
