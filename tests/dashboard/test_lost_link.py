"""Pages while the system is down."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.looks import DESK
from tests.dashboard.standin import Site
from tests.dashboard.visits import go, is_open

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("dashboard in a browser"), pytest.mark.timeout(300)]


def test_a_page_that_is_opened_while_the_system_is_down_says_so_and_comes_when_it_is_back(
    open_page: Callable[..., Page], site: Site
) -> None:
    page = open_page(site, broken=True, viewport=DESK)
    go(page, "/map", "Map")
    page.context.set_offline(True)
    page.get_by_role("link", name="Errors").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Errors")
    expect(page.get_by_role("alert")).to_contain_text("The system can't be reached")
    page.context.set_offline(False)
    expect(page.get_by_role("table", name="Errors")).to_be_visible()
    is_open(page, "Errors")
