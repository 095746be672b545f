"""A part of the shop fails as a reader pays in a real browser: the page says what to do, and once is once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pages import HOME, PAYMENT, Bookshop, add, fill, ready_to_sell, sign_up
from playwright.sync_api import Browser, Page, expect
from served import PATIENCE, eventually
from supervised_system import Supervised

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("bookshop fails in a browser"), pytest.mark.timeout(300)]

PLACEMENT = Path(__file__).with_name("split_by_failure.toml")
BOOKS = (10, 3, 1)
PRICE = "24.98"
AGAIN = "Send the form again as it is: you will not order or pay twice."
ANEW = "That order is not among your orders yet"
UNCHARGED = "this time nothing was ordered or charged. Write your card again"
CLOSED = "Load this page again in a minute, and it is sent once more; nothing is paid twice."


class SplitShop(Supervised, Bookshop):
    """The shop in five processes."""

    name = "bookshop"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SplitShop]:
    home = tmp_path_factory.mktemp("failing")
    with ready_to_sell(SplitShop(home, placement=PLACEMENT, BOOKSHOP_WEB_PATIENCE="4")) as opened:
        yield opened


@pytest.fixture
def at_the_till(shop: SplitShop, browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Gives the page of a reader of this e-mail address who has yet to press the last button."""
    shop.whole()
    with browser.new_context(base_url=shop.address, locale="en-GB") as context:
        context.set_default_timeout(PATIENCE * 1000)

        def ready(email: str) -> Page:
            page = context.new_page()
            for book_id in BOOKS:
                add(page, book_id)
            sign_up(page, email)
            page.goto("/checkout")
            fill(page, HOME | PAYMENT)
            return page

        yield ready


def pay(page: Page) -> None:
    page.get_by_role("button", name=f"Order and pay €{PRICE}").click()


def bought_once(shop: SplitShop, page: Page, email: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you, Ada Lovelace")
    page.goto("/orders")
    expect(page.locator(".order-line")).to_have_count(1)
    reference = str(page.locator(".order-line a").get_attribute("href")).rpartition("/")[2]
    assert [each["net"] for each in shop.charges(reference)] == [PRICE]
    eventually(shop.owed, lambda owed: not owed)
    assert len(shop.mails(email)) == 1


def test_an_order_is_made_though_the_process_that_makes_it_is_killed(
    shop: SplitShop, at_the_till: Callable[[str], Page]
) -> None:
    page = at_the_till("ada@books.example")
    page.on("request", kill_first := lambda request: shop.kill("checkout-0") if request.method == "POST" else None)
    pay(page)
    thanks, again = page.get_by_role("heading", name="Thank you"), page.get_by_text(AGAIN).or_(page.get_by_text(ANEW))
    expect(thanks.or_(again)).to_be_visible()
    if again.is_visible():  # on a busy machine it may start later than the page waits, or than it looks for the order
        page.remove_listener("request", kill_first)
        shop.whole()
        pay(page)
    bought_once(shop, page, "ada@books.example")


def test_where_payments_stand_still_the_card_is_written_again(
    shop: SplitShop, at_the_till: Callable[[str], Page]
) -> None:
    page = at_the_till("bob@books.example")
    with shop.frozen("payments-0"):
        pay(page)
        expect(page.locator("#trouble")).to_contain_text(UNCHARGED)
    expect(page.get_by_label("Postcode")).to_have_value(HOME["Postcode"])
    fill(page, PAYMENT)
    pay(page)
    bought_once(shop, page, "bob@books.example")


def test_where_the_order_is_not_answered_the_form_is_sent_again_as_it_is(
    shop: SplitShop, at_the_till: Callable[[str], Page]
) -> None:
    page = at_the_till("tom@books.example")
    with shop.frozen("checkout-0"):
        pay(page)
        expect(page.locator("#trouble")).to_contain_text(AGAIN)
    expect(page.get_by_text("We still know your card ending in 4242")).to_be_visible()
    pay(page)
    bought_once(shop, page, "tom@books.example")


def test_where_nobody_knows_who_is_reading_the_page_is_loaded_again(
    shop: SplitShop, at_the_till: Callable[[str], Page]
) -> None:
    page = at_the_till("eve@books.example")
    with shop.frozen("customers-0"):
        pay(page)
        expect(page.locator("main")).to_contain_text(CLOSED)
    page.reload()
    bought_once(shop, page, "eve@books.example")
