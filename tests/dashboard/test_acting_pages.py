"""Operators restart and scale from the page of processes, viewers are told why not, and what was done is listed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from meristem.sagas.records import SagaState

if TYPE_CHECKING:
    from collections.abc import Callable

from tests.dashboard.looks import PHONE
from tests.dashboard.standin import Site

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("dashboard in a browser"), pytest.mark.timeout(300)]


PARKED = f"{list(SagaState).index(SagaState.PARKED):032x}"
ACTING = {
    "/processes": ["Restart all", "Change "],
    "/sagas?state=parked": ["Retry all…"],
    f"/sagas/reservations/{PARKED}": ["Retry…", "Cancel…"],
    "/events/dead": ["Redrive all", "Discard all"],
    "/gateway": ["Ban an address", "Unban ", "Ban 198.51.100.44"],
}


def is_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_process_is_scaled_and_restarted_after_a_question(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, broken=True)  # a refusal is part of the story
    page.goto("/processes")
    name = site.stand_in.control.parts[0].name
    change = page.get_by_role("button", name=f"Change {name}", exact=True)
    change.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_label("What to do").select_option("scale")
    dialog.get_by_label("Replicas").fill("5")
    is_accessible(page)
    dialog.get_by_role("button", name="Do it").click()
    expect(page.locator("#told")).to_have_text(f"{name} gets 5 replicas.")
    changes = page.get_by_role("region", name="Latest changes")
    expect(changes).to_contain_text(f"Run 5 replicas of {name}")
    expect(changes).to_contain_text("under way, 0 of 5")
    is_accessible(page)
    change.click()
    dialog.get_by_label("What to do").select_option("scale")
    dialog.get_by_role("button", name="Do it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("something else is under way")
    page.keyboard.press("Escape")
    expect(change).to_be_focused()
    page.get_by_role("button", name="Restart all").click()
    dialog.get_by_role("button", name="Start all anew").click()
    expect(page.locator("#told")).to_contain_text("Everything is started anew")
    assert site.stand_in.control.did == [("scale", name, 5), ("restart", "", 1)]


def test_a_viewer_is_told_why_nothing_can_be_done_and_signs_out(open_page: Callable[..., Page], site: Site) -> None:
    site.stand_in.control.role = "viewer"
    page = open_page(site)
    for place, names in ACTING.items():
        page.goto(place)
        expect(page.locator("#role")).to_have_text("viewer")
        for name in names:
            button = page.get_by_role("button", name=name).first
            expect(button).to_be_disabled()
            expect(button).to_have_accessible_description(re.compile("You look on as a viewer"))
            button.focus()
            page.keyboard.press("Enter")
            expect(page.locator("#told")).to_contain_text("You look on as a viewer")
            expect(page.get_by_role("dialog")).to_have_count(0)
        is_accessible(page)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert site.stand_in.control.did == []
    assert site.stand_in.gateway.did == []


def test_what_was_done_is_listed_and_searched(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site)
    page.goto("/actions")
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.locator("tbody tr").first).to_contain_text("ProcessControl.scale")
    is_accessible(page)
    page.get_by_label("How it ended").select_option("refused")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody")).to_contain_text("you look on as a viewer")
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.locator(".empty")).to_contain_text("No action is like that")


def test_on_a_phone_what_was_refused_and_what_failed_has_room(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=PHONE)
    page.goto("/actions?outcome=refused")
    why = page.locator("tbody .why")
    expect(why).to_contain_text("you look on as a viewer")
    expect(page.locator(".outcome .problem")).to_be_hidden()
    assert why.bounding_box()["width"] > PHONE["width"] / 3
    page.goto("/errors")
    expect(page.locator("tbody tr").first).to_be_visible()
    places = "all => all.filter(e => e.scrollWidth > e.clientWidth || !e.clientWidth).map(e => e.textContent)"
    assert page.locator(".error-place > .service").evaluate_all(places) == []


def test_all_of_a_system_is_told_in_the_unit_of_its_charts(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site)
    page.goto("/processes")
    expect(page.locator(".figure", has_text="CPU")).to_have_text(re.compile(r"^CPU\d+\s%$"))
    expect(page.get_by_role("columnheader", name="Uptime")).to_be_visible()


def test_a_process_says_what_it_runs_beside_a_long_address(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport={"width": 1280, "height": 900})
    page.goto("/processes")
    named = page.get_by_role("row").filter(has_text="payments").locator(".runs .service").first
    cell, name = named.locator("xpath=ancestor::td").bounding_box(), named.bounding_box()
    assert cell
    assert name
    assert name["x"] + name["width"] <= cell["x"] + cell["width"]
    change = page.get_by_role("button", name="Change").first.bounding_box()
    table = page.get_by_role("table").bounding_box()
    assert change
    assert table
    assert change["x"] + change["width"] <= 1280 - 24
    assert table["x"] + table["width"] <= 1280 - 24
