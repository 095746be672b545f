"""Pages of a dashboard in a real browser, invented or of a whole run: what every visit of one must find."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from axe_playwright_python.sync_playwright import Axe
from browser import Complaints
from playwright.sync_api import Browser, Page, expect

PATIENCE = 30_000  # milliseconds


class Visits:
    """Gives pages, each in a browser of its own, which ask nobody else and complain of nothing."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._opened: list[tuple[str, Page, Complaints | None, list[str]]] = []

    def begin(self, address: str, *, broken: bool = False, **options: object) -> Page:
        """A page of a site, still empty. `broken`: what it asks for may fail, as part of the story."""
        context = self._browser.new_context(base_url=address, locale="en-GB", reduced_motion="reduce", **options)
        context.set_default_timeout(PATIENCE)
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        self._opened.append((address, page, None if broken else Complaints(page), asked))
        return page

    def end(self) -> None:
        """Close all, and see that they had nothing to complain of."""
        for address, page, complaints, asked in self._opened:
            heard = [] if complaints is None else complaints.heard
            # Another test's network came or went on this machine: Chromium then breaks off what it asks for.
            assert [each for each in heard if "ERR_NETWORK_CHANGED" not in each] == []
            assert [url for url in asked if not url.startswith(address)] == []
            page.context.close()


def is_open(page: Page, title: str | re.Pattern[str]) -> None:
    """What it was opened for is there."""
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.locator(".waiting")).to_have_count(0)
    expect(page.locator(".notice")).to_have_count(0)
    if title == "Map":
        expect(page.locator(".node, .empty").first).to_be_visible()


def go(page: Page, address: str, title: str) -> None:
    page.goto(address)
    is_open(page, title)


def query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def is_for_everybody(page: Page) -> None:
    """Accessible, and no wider than its window."""
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") == width, page.url
