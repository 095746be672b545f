"""A browser for all tests of the dashboard, and pages that complain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from browser import Complaints, chromium
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.standin import Site, served
from tests.dashboard.systems import hotels, large

PATIENCE = 30_000  # milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        expect.set_options(timeout=PATIENCE)
        yield opened


@pytest.fixture
def site() -> Iterator[Site]:
    """The hotel system, with an hour behind it."""
    with served(hotels(time.time())) as found:
        yield found


@pytest.fixture(scope="module")
def many() -> Iterator[Site]:
    """Fifty services."""
    with served(large(time.time())) as found:
        yield found


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Gives pages of a site, each in a browser of its own, which ask nobody else and complain of nothing."""
    opened: list[tuple[Site, Page, Complaints | None, list[str]]] = []

    def new(site: Site, *, broken: bool = False, **options: object) -> Page:
        """`broken`: what it asks for may fail, as part of the story."""
        context = browser.new_context(base_url=site.address, locale="en-GB", reduced_motion="reduce", **options)
        context.set_default_timeout(PATIENCE)
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        opened.append((site, page, None if broken else Complaints(page), asked))
        return page

    yield new
    for site, page, complaints, asked in opened:
        heard = [] if complaints is None else complaints.heard
        # Another test's network came or went on this machine: Chromium then breaks off what it asks for.
        assert [each for each in heard if "ERR_NETWORK_CHANGED" not in each] == []
        assert [url for url in asked if not url.startswith(site.address)] == []
        page.context.close()
