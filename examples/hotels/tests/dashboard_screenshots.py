"""Takes the pictures of the dashboard: `python dashboard_screenshots.py`."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from browser import chromium
from pictures import take
from playwright.sync_api import Browser, Page, expect
from sites import ARRIVAL, CARD, DECLINED, PATIENCE, Site, guest, run

from tests.dashboard.standin import served
from tests.dashboard.systems import hotels

SPLIT = Path(__file__).parents[1] / "placements" / "split.toml"
SIZE = {"width": 1280, "height": 800}
BUSY = 50.0  # seconds of traffic: what the map's figures of the last minute are made of


def main() -> None:
    """Run the site in nine processes, use it for a while, and keep a picture of each page that the documents show."""
    with chromium() as browser:
        with tempfile.TemporaryDirectory() as folder, run(Path(folder), placement=SPLIT) as site:
            use(site)
            [link] = set(re.findall(r"http://\S+/\?token=\w+", site.log))
            page = opened(browser, link.split("/?")[0])
            page.goto(link)
            walk(page, site)
        with served(hotels(time.time())) as invented:
            dead_letters(opened(browser, invented.address))


def opened(browser: Browser, address: str) -> Page:
    context = browser.new_context(
        base_url=address, locale="en-GB", color_scheme="light", reduced_motion="reduce", viewport=SIZE
    )
    context.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    return context.new_page()


def use(site: Site) -> None:
    """Searches, bookings, and some cards that are declined."""
    rooms = [each["room_id"] for each in site.own_offers()][:12]
    begun, number = time.monotonic(), 0
    while time.monotonic() < begun + BUSY:
        for city in ("Lisbon", "Paris", "Vienna"):
            site.http.get(
                "/search", params={"city": city, "arrival": ARRIVAL.isoformat(), "nights": "2", "guests": "2"}
            )
        card = DECLINED if number % 4 == 3 else CARD
        site.book(rooms[number % len(rooms)], f"picture-{number}", guest=guest(f"Guest Number {number}"), card=card)
        number += 1
        time.sleep(0.7)  # rooms are few


def walk(page: Page, site: Site) -> None:
    page.goto("/map")
    expect(page.locator("[data-kind=service]")).to_have_count(7)
    page.wait_for_timeout(3000)  # the figures of the last calls are asked for once a second
    take(page, "dashboard-map")

    page.goto("/traces?status=ok&service=documents&at_least=0.1")
    page.locator("tbody .row-link").last.click()
    expect(page.get_by_role("treeitem").first).to_be_visible()
    page.get_by_role("treeitem").first.scroll_into_view_if_needed()
    take(page, "dashboard-trace")

    page.goto("/sagas?state=failed")
    page.locator("tbody tr", has_text="refused the card").locator(".row-link").first.click()
    expect(page.get_by_text("It failed", exact=True)).to_be_visible()
    take(page, "dashboard-saga")

    page.goto("/operations")
    expect(page.locator("figure canvas")).to_have_count(4)
    page.wait_for_timeout(1000)  # one chart a frame
    take(page, "dashboard-operations")

    page.goto("/processes")
    expect(page.get_by_role("button", name="Change users")).to_be_visible()
    expect(page.locator("figure canvas")).to_have_count(3)
    page.wait_for_timeout(1000)
    take(page, "dashboard-processes")

    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto("/contracts/rooms/hotels.rooms.v1.Rooms")
    page.get_by_role("link", name=re.compile("^hold")).click()
    form = page.locator(".call-form")
    form.get_by_label("room_id").fill(site.own_offers()[0]["room_id"])
    form.get_by_label("arrival").fill(ARRIVAL.isoformat())
    form.get_by_label("nights").fill("2")
    form.get_by_label("guests").fill("1")
    form.get_by_role("textbox", name=re.compile("^User")).fill("guest-7")
    form.get_by_role("button", name="Call hold").click()
    expect(page.locator(".answer")).to_contain_text("Answered in")
    page.get_by_role("region", name="Reply").scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 300)")
    take(page, "dashboard-call")


def dead_letters(page: Page) -> None:
    """Of an invented system: the site has none."""
    page.goto("/events/dead")
    page.locator("tbody .row-link").first.click()
    expect(page.get_by_role("button", name="Show values")).to_be_visible()
    take(page, "dashboard-dead-letters")


if __name__ == "__main__":
    main()
