"""The pages that read contracts and call operations: forms of all types, refusals, code that works, downloads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.dashboard.looks import DESK, PHONE, in_every_look
from tests.dashboard.promises import Board, Card, Guest, ReservationsService
from tests.dashboard.standin import Site
from tests.dashboard.visits import go, is_for_everybody, query

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("dashboard in a browser"), pytest.mark.timeout(300)]

BOOK = "/contracts/reservations/hotels.reservations.v1.Reservations"


def form_of(page: Page, operation: str, site: Site) -> Locator:
    go(page, f"{BOOK}?operation={operation}", "Reservations")
    return page.locator(".call-form")


@in_every_look
def test_contracts_are_accessible_and_fit(open_page: Callable[..., Page], site: Site, scheme: str, size: dict) -> None:
    page = open_page(site, color_scheme=scheme, viewport=size)
    for address, title in {
        "/contracts": "Contracts",
        BOOK: "Reservations",
        f"{BOOK}?operation=watch": "Reservations",
    }.items():
        go(page, address, title)
        for box in page.get_by_role("checkbox").all():
            box.check()
        for more in page.locator("summary").all():
            more.click()
        is_for_everybody(page)


def test_a_contract_is_found_by_an_operation_and_read(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    go(page, "/contracts", "Contracts")
    page.keyboard.press("/")
    page.keyboard.type("boo")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Reservations")
    assert query(page) == {"operation": "book"}
    card = page.get_by_role("region", name="What book is")
    for text in ("Book a stay for who is signed in.", "POST /bookings", "once", "10\u202fs", "NoRoom", "409 in REST"):
        expect(card).to_contain_text(text)
    expect(card).to_contain_text("≥ 1, ≤ 30")
    page.get_by_role("link", name=re.compile("^free")).click()
    expect(page.get_by_role("region", name="What free is")).to_contain_text("anybody")
    page.go_back()
    expect(card).to_be_visible()


def test_a_form_of_all_types_calls_for_a_user(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    form = form_of(page, "book", site)
    form.get_by_label("room").fill("double")
    form.get_by_label("arrival").fill("2031-05-01")
    form.get_by_label("nights").fill("2")
    form.get_by_label("price").fill("120.50")
    form.get_by_role("checkbox", name="Give guests").check()
    form.get_by_role("button", name="Add").first.click()
    form.get_by_label("name", exact=True).fill("Ada")
    form.get_by_role("button", name="Add").first.click()
    form.get_by_role("button", name="Remove item 2 of guests").click()
    form.get_by_label(re.compile("^age")).fill("7")
    form.get_by_label(re.compile("^board")).select_option("half board")
    form.get_by_label(re.compile("^pay")).select_option("Card")
    form.get_by_label("number").fill("4111")
    form.get_by_role("checkbox", name="Give notes").check()
    form.get_by_role("button", name="Add").last.click()
    form.get_by_label("Key", exact=True).fill("bed")
    form.get_by_label("Value", exact=True).fill("wide")
    form.get_by_label(re.compile("^late")).select_option("true")
    form.get_by_role("textbox", name=re.compile("^User")).fill("user-7")
    form.get_by_role("button", name="Call book").click()
    expect(page.locator(".answer")).to_contain_text("Answered in")
    reply = json.loads(page.get_by_role("region", name="Reply").inner_text())
    assert (reply["number"], reply["for_whom"], reply["total"]) == (1, "user-7", "241.00")
    trace = page.get_by_role("link", name="Trace", exact=True).get_attribute("href")
    assert re.fullmatch(r"/traces/[0-9a-f]{32}", trace or "")
    [(user, stay)] = site.stand_in.promised.app.service(ReservationsService).booked
    assert (user, stay.guests, stay.board, stay.late) == ("user-7", [Guest(name="Ada", age=7)], Board.HALF, True)
    assert (stay.pay, stay.notes) == (Card(number="4111"), {"bed": "wide"})


def test_what_is_refused_stands_beside_its_field(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=PHONE)
    form = form_of(page, "book", site)
    form.get_by_label("room").fill("suite")
    form.get_by_label("arrival").fill("2031-05-01")
    form.get_by_label("nights").fill("45")
    form.get_by_label("price").fill("1")
    form.get_by_role("textbox", name=re.compile("^User")).fill("user-7")
    send = form.get_by_role("button", name="Call book")
    send.click()
    expect(form.get_by_label("nights")).to_be_focused()
    expect(form.get_by_label("nights")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".answer")).to_contain_text("invalid_argument")
    assert Axe().run(page).violations_count == 0
    form.get_by_label("nights").fill("4")
    form.get_by_label("nights").press("Enter")
    expect(page.locator(".answer")).to_contain_text("Fault NoRoom")
    expect(page.get_by_role("region", name="Reply")).to_contain_text('"nights": 4')
    expect(form.locator("[aria-invalid]")).to_have_count(0)


def test_a_viewer_reads_all_and_calls_nothing(open_page: Callable[..., Page], site: Site) -> None:
    site.stand_in.control.role = "viewer"
    page = open_page(site, viewport=DESK)
    go(page, "/operations?service=reservations&operation=book", "Operations")
    page.get_by_role("link", name="Contract", exact=True).click()
    page.get_by_role("link", name=re.compile("^reservations Reservations")).click()
    expect(page.get_by_role("button", name="Call book")).to_be_disabled()
    page.get_by_label("nights").press("Enter")
    expect(page.locator("#told")).to_contain_text("You look on as a viewer")
    expect(page.locator(".answer")).to_have_count(0)


def test_json_and_fields_are_one_request_and_a_stream_shows_its_first_items(
    open_page: Callable[..., Page], site: Site
) -> None:
    page = open_page(site, viewport=DESK)
    form = form_of(page, "watch", site)
    page.get_by_role("button", name="JSON", exact=True).click()
    page.get_by_label("Request as JSON").fill('{"room": "single"}')
    page.get_by_role("button", name="Fields").click()
    expect(form.get_by_label("room")).to_have_value("single")
    form.get_by_role("button", name="Call watch").click()
    expect(page.get_by_text("There is more")).to_be_visible()
    assert json.loads(page.get_by_role("region", name="Reply").inner_text()) == list(range(20))

    page.get_by_role("link", name=re.compile("^total")).click()
    for number, price in enumerate(("1.50", "2.25"), 1):
        form.get_by_role("button", name="Add").click()
        form.get_by_label(f"Items {number}").fill(price)
    form.get_by_role("button", name="Call total").click()
    expect(page.get_by_role("region", name="Reply")).to_have_text('"3.75"')


def test_a_call_is_written_as_code_and_a_contract_is_downloaded(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    form = form_of(page, "free", site)
    form.get_by_label("arrival").fill("2031-05-01")
    page.get_by_text("As code").click()
    code = page.get_by_role("region", name=re.compile("code$"))
    expect(code).to_contain_text("curl http://127.0.0.1:8000/hotels.reservations.v1.Reservations/Free")
    page.get_by_role("button", name="Python").click()
    expect(code).to_contain_text('date.fromisoformat("2031-05-01")')
    form.get_by_label("arrival").fill("2032-06-02")
    expect(code).to_contain_text("2032-06-02")
    with page.expect_download() as found:
        page.get_by_role("button", name=".proto").click()
    assert "service Reservations {" in found.value.path().read_text()
