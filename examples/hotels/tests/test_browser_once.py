"""Whatever a guest does with a browser's buttons, one room is booked and paid for once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from browser import chromium
from playwright.sync_api import Browser, Page, expect
from sites import ARRIVAL, CARD, DECLINED, PATIENCE, Site, eventually, guest
from split import SplitSite

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.xdist_group("browser-once")]  # a site for all

BOOKED, ALREADY = "Your room is booked", "You have booked this room already"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(site: Site, browser: Browser) -> Iterator[Callable[[], Page]]:
    """Gives one tab after the other of the same visitor."""
    context = browser.new_context(base_url=site.address, locale="en-GB")
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page
    context.close()


@pytest.fixture
def pay(untouched: Callable[[], dict[str, str]]) -> str:
    """The address of the payment form for a room that no other test gets."""
    return f"/rooms/{untouched()['room_id']}/pay?arrival={ARRIVAL}&nights=2&guests=1"


def fill(page: Page, who: dict[str, str] | None, card: dict[str, str] = CARD) -> None:
    answers = {"Card number": card["number"], "Expiry (MM/YY)": card["expiry"], "Security code (CVC)": card["cvc"]}
    if who is not None:
        answers |= {"Your name": who["name"], "E-mail": who["email"], "Password": who["password"]}
    for label, text in answers.items():
        page.get_by_label(label).fill(text)


def press(page: Page) -> None:
    page.get_by_role("button", name="Pay €").click()


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def the_one_booking(site: Site, who: dict[str, str]) -> str:
    """The guest's only booking, charged once."""
    (booking,) = site.bookings(site.signed_in(who))
    assert booking["status"] == "confirmed"
    assert len(site.charges(booking["booking_id"])) == 1
    return str(booking["booking_id"])


def test_back_and_one_click_show_the_booking_and_charge_nothing(site: Site, visit: Callable[[], Page], pay: str):
    who, page = guest("Grace Hopper"), visit()
    page.goto(pay)
    fill(page, who)
    press(page)
    heading(page, BOOKED)
    page.go_back()
    if page.get_by_role("heading", level=1).inner_text() != ALREADY:  # the form, out of the browser's memory
        fill(page, None)
        press(page)
    heading(page, ALREADY)
    expect(page.get_by_text("You paid once, and nothing was charged again.")).to_be_visible()
    page.get_by_role("link", name="Show this booking").click()
    assert page.url.endswith(the_one_booking(site, who))


def test_a_form_that_stayed_as_it_was_books_nothing_more(site: Site, visit: Callable[[], Page], pay: str):
    who, page, again = guest("Radia Perlman"), visit(), visit()
    page.goto("/sign-up")
    for label, text in {"Your name": who["name"], "E-mail": who["email"], "Password": who["password"]}.items():
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Open account").click()
    heading(page, "My bookings")
    for tab in (page, again):
        tab.goto(pay)
        fill(tab, None)
    press(page)
    heading(page, BOOKED)
    press(again)
    heading(again, ALREADY)
    the_one_booking(site, who)


def test_two_tabs_of_somebody_new_book_once(site: Site, visit: Callable[[], Page], pay: str):
    who, tabs = guest("Barbara Liskov"), [visit(), visit()]
    for tab in tabs:
        tab.goto(pay)
        fill(tab, who)
    press(tabs[0])
    heading(tabs[0], BOOKED)
    press(tabs[1])
    heading(tabs[1], ALREADY)
    expect(tabs[1].get_by_text("You signed in or out after that page was opened")).to_be_visible()
    the_one_booking(site, who)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_double_click_books_once(site: Site, browser: Browser, pay: str, scripts: bool):
    who = guest(f"Frances Allen {scripts}")
    context = browser.new_context(base_url=site.address, locale="en-GB", java_script_enabled=scripts)
    page = context.new_page()
    page.goto(pay)
    fill(page, who)
    page.get_by_role("button", name="Pay €").dblclick()
    heading(page, BOOKED)
    context.close()
    the_one_booking(site, who)


def test_reloading_what_a_declined_card_was_answered_sends_nothing_and_another_card_books(
    site: Site, visit: Callable[[], Page], pay: str
):
    who, page = guest("Karen Jones"), visit()
    page.goto(pay)
    fill(page, who, DECLINED)
    press(page)
    expect(page.get_by_text("Your bank declined the card.")).to_be_visible()
    page.reload()
    expect(page.get_by_text(f"Booking as {who['name']}")).to_be_visible()
    fill(page, None)
    press(page)
    heading(page, BOOKED)
    page.reload()
    heading(page, BOOKED)
    bookings = site.bookings(site.signed_in(who))
    assert sorted(each["status"] for each in bookings) == ["confirmed", "failed"]
    assert sum(len(site.charges(each["booking_id"])) for each in bookings) == 1


@pytest.fixture
def divided(new_home: Callable[[], Path]) -> Iterator[SplitSite]:
    site = SplitSite(new_home())
    try:
        yield site.started()
    finally:
        site.stop()


def test_a_search_that_stands_still_does_not_hold_the_first_page(divided: SplitSite):
    divided.whole()
    eventually(lambda: divided.http.get("/").text, lambda page: "Cities with many rooms" in page)
    with divided.frozen("search-0"), divided.frozen("search-1"), ThreadPoolExecutor(1) as pool:
        patient = pool.submit(divided.http.get, "/api/hotels", params={"city": "Porto", "arrival": str(ARRIVAL)})
        page = divided.http.get("/")
        assert not patient.done()  # which waits for the search itself, to its deadline of two seconds
    assert page.status_code == 200
    assert "Where will you sleep?" in page.text
    assert patient.result().status_code == 504
