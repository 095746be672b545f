"""A guest's whole journey in a real browser: from a city's name to the money back on the card."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pypdf
import pytest
from browser import Complaints, chromium
from playwright.sync_api import Page, Route, expect
from sites import ARRIVAL, CARD, DECLINED, PATIENCE, Site, guest, run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]  # each wait inside has a bound of its own

ADA = guest("Ada Lovelace")


SPLIT = Path(__file__).parents[1] / "placements" / "split.toml"


@pytest.fixture(params=[None, SPLIT], ids=["one process", "split"])
def site(request: pytest.FixtureRequest, new_home: Callable[[], Path]) -> Iterator[Site]:
    """The site by each placement in turn."""
    with run(new_home(), placement=request.param) as site:
        yield site


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """A page that fails the test when its console or one of its requests does."""
    with chromium() as browser:
        context = browser.new_context(base_url=site.address, locale="en-GB", accept_downloads=True)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        yield page


@pytest.fixture
def complaints(page: Page) -> Iterator[Complaints]:
    complaints = Complaints(page)
    yield complaints
    assert complaints.heard == []


def test_a_guest_finds_books_and_cancels_a_room(page: Page, complaints: Complaints, tmp_path: Path):
    expect.set_options(timeout=PATIENCE * 1000)
    hotel = find_a_room(page)
    price = pay(page, complaints)
    expect(page.get_by_text("Everything is done")).to_be_visible()
    read_the_receipt(page, tmp_path / "receipt.pdf", hotel, price)
    read_both_mails(page, hotel)
    cancel(page, price)
    page.goto("/bookings")
    expect(page.locator(".offer")).to_have_count(2)  # the one that was declined is on record too
    expect(page.locator(".offer .pill.cancelled")).to_have_count(1)
    expect(page.locator(".offer .pill.failed")).to_have_count(1)


def test_the_api_page_shows_code_as_code_and_reads_nothing_as_html(page: Page, complaints: Complaints):
    expect.set_options(timeout=PATIENCE * 1000)

    def describe(route: Route) -> None:
        document = route.fetch().json()
        document["paths"]["/hotels"]["get"]["description"] = (
            "Send `<b>city</b>`.\n\n<img src=x onerror=alert(1)> is text."
        )
        route.fulfill(json=document)

    page.route("**/api/openapi.json", describe)
    page.goto("/api/docs")
    operation = page.locator(".operation", has_text="/hotels")
    operation.locator("summary").click()
    expect(operation.locator("summary code")).to_have_text("max_price")
    expect(operation.locator("p code").first).to_have_text("<b>city</b>")
    expect(operation.get_by_text("<img src=x onerror=alert(1)> is text.")).to_be_visible()
    expect(page.locator("main img, main b")).to_have_count(0)
    expect(page.locator("body")).not_to_contain_text("`")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390  # wide tables scroll by themselves


def find_a_room(page: Page) -> str:
    """Search by keyboard, open one of our own hotels' rooms; gives the hotel's name."""
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Where will you sleep?")
    city = page.get_by_role("combobox", name="City")
    city.press_sequentially("Lis")
    expect(page.get_by_role("option", name="Lisbon")).to_be_visible()
    city.press("ArrowDown")
    city.press("Enter")
    expect(city).to_have_value("Lisbon")
    page.get_by_label("Arrival").fill(ARRIVAL.isoformat())
    page.get_by_label("Nights").fill("3")
    page.get_by_label("Guests").fill("1")
    page.get_by_role("button", name="Search").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Rooms in Lisbon")
    own = page.locator('.offer h2 a[href*="/rooms/"]').first
    hotel = own.inner_text()
    own.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(hotel)
    page.get_by_role("link", name="Book this room").click()
    return hotel


def pay(page: Page, complaints: Complaints) -> str:
    """Book as a new guest, first with a card that is declined; gives the price as the page shows it."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Book and pay")
    button = page.get_by_role("button", name="Pay €")
    price = button.inner_text().split()[-1]
    page.get_by_label("Your name").focus()
    typed = [ADA["name"], ADA["email"], ADA["password"], DECLINED["number"], DECLINED["expiry"], DECLINED["cvc"]]
    for text in typed:
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    with complaints.allowing(402):
        page.keyboard.press("Enter")
        trouble = page.locator("#trouble")
        expect(trouble).to_have_text("Your bank declined the card. Nothing was charged. Try another card.")
    expect(trouble).to_have_role("alert")
    expect(trouble).to_be_focused()
    expect(page.get_by_text(f"Booking as {ADA['name']}")).to_be_visible()
    expect(page.get_by_label("Password")).to_have_count(0)
    page.get_by_label("Card number").fill("4242 4242 4242 4241")
    page.get_by_label("Expiry (MM/YY)").fill(CARD["expiry"])
    page.get_by_label("Security code (CVC)").fill(CARD["cvc"])
    with complaints.allowing(422):
        button.click()
        expect(page.locator("#number-error")).to_be_visible()
    page.get_by_label("Card number").fill("4242 4242 4242 4242")
    page.get_by_label("Security code (CVC)").fill(CARD["cvc"])
    button.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your room is booked")
    return price


def read_the_receipt(page: Page, file: Path, hotel: str, price: str) -> None:
    """Download the PDF and read its text back."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the receipt (PDF)").click()
    download.value.save_as(file)
    text = re.sub(r"\s+", " ", "".join(each.extract_text() for each in pypdf.PdfReader(file).pages))
    for known in (hotel, ADA["name"], price.removeprefix("€"), "4242"):
        assert known in text


def read_both_mails(page: Page, hotel: str) -> None:
    """The guest's mail carries the receipt; the hotel's names the guest."""
    booking = page.url
    page.goto(f"/mailbox/?to={ADA['email']}")
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.get_by_role("link", name=f"{hotel},").click()
    mail = page.frame_locator("iframe")
    expect(mail.get_by_role("heading", level=1)).to_have_text("Your room in Lisbon is booked")
    expect(mail.get_by_role("cell", name=hotel)).to_be_visible()
    expect(page.get_by_role("list", name="Attachments").get_by_role("link")).to_contain_text(".pdf")
    page.goto("/mailbox/")
    page.get_by_role("link", name=f"New reservation: {ADA['name']}").click()
    expect(mail.get_by_role("cell", name=ADA["name"])).to_be_visible()
    page.goto(booking)


def cancel(page: Page, price: str) -> None:
    """Cancel the booking; the money goes back."""
    page.get_by_role("link", name="All my bookings").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("My bookings")
    page.get_by_role("listitem").filter(has=page.locator(".pill.confirmed")).get_by_role("link").click()
    page.get_by_role("link", name="Cancel this booking").click()
    page.get_by_role("button", name="Cancel the booking").click()
    expect(
        page.get_by_text(f"Your booking was cancelled. {price} went back to your card ending in 4242.")
    ).to_be_visible()
