"""A reader's visit in a real browser: by keyboard alone, by night, on a phone, and for those who hear the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Complaints
from pages import HOME, PASSWORD, PAYMENT, Bookshop, add, fill, ready_to_sell, sign_up
from playwright.sync_api import Browser, Locator, Page, expect
from served import DECLINED, PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("bookshop in a browser"), pytest.mark.timeout(300)]

OWNER = "owner@books.example"
PHONE = {"width": 390, "height": 844}
MOONSTONE, HOUND, FALCON = 10, 3, 1
OUTLINES = """each => [getComputedStyle(each).outlineStyle, getComputedStyle(each, "::after").outlineStyle].join()"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bookshop]:
    with ready_to_sell(Bookshop(tmp_path_factory.mktemp("shop"))) as opened:
        yield opened


@pytest.fixture
def open_page(shop: Bookshop, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Gives pages of a browser of their own, which ask nobody but the shop and complain of nothing."""
    opened: list[tuple[Page, Complaints, list[str]]] = []

    def new(**options: object) -> Page:
        context = browser.new_context(base_url=shop.address, locale="en-GB", reduced_motion="reduce", **options)
        context.set_default_timeout(PATIENCE * 1000)
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        complaints = Complaints(page)
        complaints.allow({402})
        opened.append((page, complaints, asked))
        return page

    yield new
    for page, complaints, asked in opened:
        assert complaints.heard == []
        assert [url for url in asked if not url.startswith(shop.address)] == []
        page.context.close()


def is_accessible(page: Page) -> None:
    """Nothing is wrong with a page by the rules of axe."""
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"


def tab_to(page: Page, target: Locator) -> None:
    """Walk by the tabulator until the target has the focus, which can be seen."""
    expect(target).to_be_visible()
    for _ in range(90):
        page.keyboard.press("Tab")
        if target.evaluate("each => each === document.activeElement"):
            assert "solid" in target.evaluate(OUTLINES)
            return
    raise AssertionError(f"no tabulator leads to {target}")


def press(page: Page, target: Locator) -> None:
    tab_to(page, target)
    page.keyboard.press("Enter")


def type_into(page: Page, answers: dict[str, str]) -> None:
    for label, text in answers.items():
        tab_to(page, page.get_by_label(label, exact=True))
        page.keyboard.press("Control+A")
        page.keyboard.type(text)


def heading_is(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_a_reader_buys_with_the_promotion_by_keyboard_alone(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/")
    is_accessible(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab_to(page, page.get_by_role("searchbox"))
    page.keyboard.type("moonst")
    page.keyboard.press("Enter")
    heading_is(page, "Books for “moonst”")
    is_accessible(page)
    press(page, page.get_by_role("link", name="The Moonstone"))
    heading_is(page, "The Moonstone")
    is_accessible(page)
    tab_to(page, page.get_by_label("Copies"))
    page.keyboard.type("3")
    press(page, page.get_by_role("button", name="Add to cart"))
    heading_is(page, "Your cart")
    expect(page.get_by_text("One copy is free with your three books")).to_be_visible()
    is_accessible(page)
    press(page, page.get_by_role("link", name="Check out"))
    heading_is(page, "Sign in")
    is_accessible(page)
    press(page, page.get_by_role("link", name="Open an account"))
    heading_is(page, "Open an account")
    type_into(page, {"Your name": "Ada Lovelace", "E-mail": "ada@books.example", "Password": PASSWORD})
    is_accessible(page)
    page.keyboard.press("Enter")
    pay(page)


def pay(page: Page) -> None:
    """First by a card that is declined, then by one that is not."""
    heading_is(page, "Check out")
    is_accessible(page)
    type_into(page, HOME | PAYMENT | {"Card number": DECLINED["number"]})
    page.keyboard.press("Enter")
    expect(page.locator("#trouble")).to_have_text("Your bank declined the card. Nothing was charged. Try another card.")
    expect(page.locator("#trouble")).to_be_focused()
    expect(page.get_by_label("Postcode")).to_have_value(HOME["Postcode"])
    is_accessible(page)
    type_into(page, PAYMENT)
    press(page, page.get_by_role("button", name="Order and pay €23.98"))
    heading_is(page, "Thank you, Ada Lovelace")
    is_accessible(page)
    order = page.url
    page.goto("/checkout")
    expect(page.get_by_text("There is nothing in your cart to pay for")).to_be_visible()
    page.goto(order)
    press(page, page.get_by_role("link", name="All your orders"))
    heading_is(page, "Your orders")
    expect(page.locator(".order-line")).to_have_count(1)
    is_accessible(page)
    page.goto("/")
    heading_is(page, "Good to see you, Ada Lovelace")  # and no banner: the promotion is for once


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_fits_a_phone_and_is_accessible_by_day_and_by_night(
    open_page: Callable[..., Page], scheme: str
) -> None:
    page = open_page(color_scheme=scheme, viewport=PHONE)
    for book_id in (MOONSTONE, HOUND, FALCON):
        add(page, book_id)
    expect(page.get_by_text("Your free book is in the cart")).to_be_visible()
    for address in ("/", "/search?all=1", f"/books/{HOUND}", "/cart", "/sign-in", "/sign-up"):
        fits(page, address)
    if scheme == "light":
        sign_up(page, OWNER)
    else:
        page.goto("/sign-in")
        fill(page, {"E-mail": OWNER, "Password": PASSWORD})
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    for address in ("/checkout", "/orders", "/account"):
        fits(page, address)
    page.goto("/checkout")
    fill(page, HOME | PAYMENT)
    page.get_by_role("button", name="Order and pay").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Thank you")
    fits(page, page.url)
    fits(page, "/report")
    expect(page.get_by_role("img", name="Sales of the last 30 days")).to_be_visible()


def fits(page: Page, address: str) -> None:
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], address
    is_accessible(page)
