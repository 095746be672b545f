"""A browser for all tests of the dashboard, and pages that complain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from browser import chromium
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.standin import Site, served
from tests.dashboard.systems import hotels, large
from tests.dashboard.visits import PATIENCE, Visits


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
    """Gives pages of a site; see `Visits`."""
    visits = Visits(browser)
    yield lambda site, **options: visits.begin(site.address, **options)
    visits.end()
