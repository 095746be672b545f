"""Operators look on at the whole site, and call its operations, by the link that the run prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import Complaints, chromium
from playwright.sync_api import Page, expect
from sites import ARRIVAL, PATIENCE, Site, run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]  # each wait inside has a bound of its own

SPLIT = Path(__file__).parents[1] / "placements" / "split.toml"


@pytest.fixture
def site(new_home: Callable[[], Path]) -> Iterator[Site]:
    with run(new_home(), placement=SPLIT) as site:
        yield site


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """A browser that has followed the link of the run."""
    expect.set_options(timeout=PATIENCE * 1000)
    [link] = set(re.findall(r"http://\S+/\?token=\w+", site.log))
    with chromium() as browser:
        context = browser.new_context(locale="en-GB")
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        complaints = Complaints(page)
        page.goto(link)
        yield page
        assert complaints.heard == []


def test_an_operator_holds_a_room_for_a_guest_and_sees_what_that_did(site: Site, page: Page):
    room = site.own_offers()[0]["room_id"]
    before = site.holds(room)
    page.get_by_role("link", name="Contracts").click()
    page.get_by_role("row", name=re.compile("rooms Rooms")).get_by_role("link").first.click()
    page.get_by_role("link", name=re.compile("^hold")).click()
    form = page.locator(".call-form")
    form.get_by_label("room_id").fill(room)
    form.get_by_label("arrival").fill(ARRIVAL.isoformat())
    form.get_by_label("nights").fill("2")
    form.get_by_label("guests").fill("1")
    form.get_by_label("User").fill("guest-7")
    form.get_by_role("button", name="Call hold").click()
    expect(page.locator(".answer")).to_contain_text("Answered in")
    hold = json.loads(page.get_by_role("region", name="Reply").inner_text())
    assert (hold["stay"]["room_id"], hold["stay"]["nights"]) == (room, 2)
    assert site.holds(room) == before + 1

    key = page.locator(".answer code").inner_text()
    form.get_by_label("Idempotency key").fill(key)
    form.get_by_role("button", name="Call hold").click()
    expect(page.locator(".answer code")).to_have_text(key)
    assert json.loads(page.get_by_role("region", name="Reply").inner_text()) == hold
    assert site.holds(room) == before + 1

    page.get_by_role("link", name="Trace", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Rooms/hold$"))
    expect(page.get_by_role("treeitem").first).to_contain_text("hold")
    page.get_by_role("link", name="Traces").click()
    page.get_by_role("searchbox", name="User").fill("guest-7")
    expect(page.locator("tbody tr")).to_have_count(2)
