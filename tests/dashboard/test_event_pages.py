"""The pages of events in a real browser: subscribers, dead letters, and what is done about them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from meristem.operators.event_contract import LettersLike
from tests.dashboard.looks import DESK, in_every_look
from tests.dashboard.standin import Site
from tests.dashboard.visits import go, is_for_everybody, query

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("dashboard in a browser"), pytest.mark.timeout(300)]


def letters(page: Page) -> Any:
    return page.locator("tbody tr")


@in_every_look
def test_events_are_accessible_and_fit(open_page: Callable[..., Page], site: Site, scheme: str, size: dict) -> None:
    site.stand_in.events.silent = ["payments"]
    page = open_page(site, color_scheme=scheme, viewport=size)
    letter = site.stand_in.events.letters[-1]
    for address, title in {
        "/events": "Events",
        "/events?subscriber=invoices": "Events",
        f"/events/dead?letter={letter.service}/{letter.id}": "Dead letters",
    }.items():
        go(page, address, title)
        expect(page.locator(".missing")).to_have_text("payments did not answer: what is kept there is missing here.")
        is_for_everybody(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("Discard all")).click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_subscribers_tell_how_they_are_doing(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    go(page, "/events", "Events")
    row = page.get_by_role("row").filter(has_text="notifications").first
    expect(row).to_contain_text("1,204")
    expect(page.get_by_role("row").filter(has_text="invoices")).to_contain_text("no part of the system")
    row.get_by_role("link", name="notifications", exact=True).click()
    expect(page.locator(".panel")).to_contain_text("37 failed before, next attempt")
    expect(page.locator(".panel")).to_contain_text("greylisted")
    expect(page.locator(".summary")).to_contain_text("Subscribernotifications")
    expect(page.locator(".summary")).to_contain_text("Waiting1,204")
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_have_count(0)
    expect(page.locator(".summary")).to_contain_text("Subscriberall")
    page.get_by_role("button", name="With dead letters").click()
    expect(page.get_by_role("table").first.locator("tbody tr")).to_have_count(4)
    page.get_by_role("link", name=re.compile("dead letters of search")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dead letters")
    assert query(page) == {"subscriber": "search"}


def test_dead_letters_are_read_page_by_page(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    go(page, "/events/dead", "Dead letters")
    expect(letters(page)).to_have_count(100)
    first = letters(page).first.get_attribute("data-key")
    seen = set(letters(page).evaluate_all("each => each.map(row => row.dataset.key)"))
    for _ in range(2):
        page.get_by_role("link", name="Older letters").click()
        page.wait_for_function("known => !known.includes(document.querySelector('tbody tr').dataset.key)", arg=[*seen])
        seen |= set(letters(page).evaluate_all("each => each.map(row => row.dataset.key)"))
    assert len(seen) == 260
    expect(page.get_by_role("link", name="Older letters")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    expect(letters(page).first).to_have_attribute("data-key", first)


def test_what_a_letter_says_is_hidden_until_it_is_asked_for(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    go(page, "/events/dead?text=greylisted", "Dead letters")
    letters(page).first.locator(".row-link").click()
    panel = page.locator(".panel")
    expect(panel).to_contain_text('"name": "***"')
    expect(panel).to_contain_text("gave up after 12 attempts")
    expect(panel).not_to_contain_text("Ann Knife")
    panel.get_by_role("button", name="Show values").click()
    expect(panel).to_contain_text('"name": "Ann Knife"')
    panel.get_by_role("button", name="Hide values").click()
    expect(panel).not_to_contain_text("Ann Knife")


def test_one_letter_the_chosen_ones_and_all_that_are_alike_are_changed(
    open_page: Callable[..., Page], site: Site
) -> None:
    events = site.stand_in.events
    page = open_page(site, viewport=DESK)
    last = events.letters[-1]
    go(page, f"/events/dead?letter={last.service}/{last.id}", "Dead letters")
    page.locator(".panel").get_by_role("button", name="Redrive").click()
    asked = page.get_by_role("dialog")
    expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(asked).to_have_count(0)
    assert events.changed == []
    page.locator(".panel").get_by_role("button", name="Redrive").click()
    asked.get_by_role("button", name="Redrive").click()
    expect(page.get_by_role("status").filter(has_text="1 event is delivered again.")).to_be_visible()
    expect(page.locator(".panel")).to_have_count(0)
    expect(page.locator(".count")).to_have_text("259 letters")

    for number in (0, 2):
        letters(page).nth(number).get_by_role("checkbox").check()
    keys = [letters(page).nth(number).get_attribute("data-key") for number in (0, 2)]
    page.get_by_role("button", name="Discard 2").click()
    asked.get_by_role("button", name="Discard 2").click()
    expect(page.locator(".count")).to_have_text("257 letters")

    page.get_by_role("searchbox").fill("room_type")
    expect(page.get_by_role("button", name=re.compile("Redrive all .* like that"))).to_be_visible()
    total = sum("room_type" in (each.error or "") for each in events.letters)
    newest = {name: max(e.id for e in events.letters if e.service == name and "room_type" in e.error)
              for name in {e.service for e in events.letters if "room_type" in e.error}}  # fmt: skip
    page.get_by_role("button", name=f"Redrive all {total} like that").click()
    asked.get_by_role("button", name=f"Redrive {total}").click()
    expect(page.locator(".empty")).to_contain_text("No dead letter is like that")

    (_, one), (_, chosen), (verb, alike) = events.changed
    assert one.numbers == {last.service: [last.id]}
    assert {f"{name}/{number}" for name, numbers in chosen.numbers.items() for number in numbers} == set(keys)
    assert (verb, alike.like, alike.up_to) == ("redrive", LettersLike(text="room_type"), newest)


def test_a_subscriber_that_is_gone_is_given_up_with_a_warning(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    go(page, "/events/dead?subscriber=invoices", "Dead letters")
    page.get_by_role("button", name=re.compile("Discard all")).click()
    expect(page.get_by_role("dialog")).to_contain_text("what still waits for it is given up as well")
    page.keyboard.press("Enter")  # which is Cancel
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert site.stand_in.events.changed == []
