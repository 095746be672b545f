"""Takes the pictures of the documentation: `python screenshots.py`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser import chromium
from pictures import IMAGES, keep, take
from PIL import Image
from playwright.sync_api import Page, expect
from sites import ARRIVAL, CARD, PATIENCE, Site, eventually, guest

WIDTH, HEIGHT = 1280, 960
GAP = 20
PAPER = (232, 230, 225)


def main() -> None:
    """Fill a site, walk through it, and keep four pictures and one that shows them together."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with filled_site() as site, chromium() as browser:
        context = browser.new_context(
            base_url=site.address,
            locale="en-GB",
            color_scheme="light",
            reduced_motion="reduce",
            viewport={"width": WIDTH, "height": HEIGHT},
        )
        context.set_default_timeout(PATIENCE * 1000)
        walk(context.new_page())
    collage(["home", "results", "room", "confirmation"])


@contextmanager
def filled_site() -> Iterator[Site]:
    """A site with the whole catalogue."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), HOTELS_ROOMS_HOTELS=os.environ.get("HOTELS_ROOMS_HOTELS", "5000"))
        try:
            site.started()
            eventually(site.owed, lambda owed: not owed, seconds=300)
            yield site
        finally:
            site.stop()


def walk(page: Page) -> None:
    """From the first page to the confirmation."""
    page.goto("/")
    take(page, "hotels-home")
    page.get_by_label("City").fill("Lisbon")
    page.get_by_label("Arrival").fill(ARRIVAL.isoformat())
    page.get_by_label("Nights").fill("3")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rooms in Lisbon")
    take(page, "hotels-results")
    page.locator('.offer h2 a[href*="/rooms/"]').first.click()
    expect(page.get_by_role("link", name="Book this room")).to_be_visible()
    take(page, "hotels-room")
    page.get_by_role("link", name="Book this room").click()
    ada = guest("Ada Lovelace")
    answers = {"Your name": ada["name"], "E-mail": ada["email"], "Password": ada["password"]}
    answers |= {"Card number": CARD["number"], "Expiry (MM/YY)": CARD["expiry"], "Security code (CVC)": CARD["cvc"]}
    for label, text in answers.items():
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_text("Everything is done")).to_be_visible()
    take(page, "hotels-confirmation")


def collage(names: list[str]) -> None:
    """Two by two, each at half its size."""
    width = (WIDTH - 3 * GAP) // 2
    height = width * HEIGHT // WIDTH
    together = Image.new("RGB", (WIDTH, 2 * height + 3 * GAP), PAPER)
    for number, name in enumerate(names):
        row, column = divmod(number, 2)
        with Image.open(IMAGES / f"hotels-{name}.png") as taken:
            small = taken.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        together.paste(small, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    keep(together, IMAGES / "hotels.png")


if __name__ == "__main__":
    main()
