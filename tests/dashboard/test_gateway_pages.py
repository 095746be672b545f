"""The page of the gateway in a real browser: of an invented system, and of one that runs, whose edge then does so."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from msgspec.structs import replace
from playwright.sync_api import Browser, Locator, Page, expect

from tests.dashboard.invented_gateway import FLOODER, HOLDER, LONG, NETWORK, SCANNER
from tests.dashboard.looks import DESK, PHONE, in_every_look
from tests.dashboard.standin import Site
from tests.dashboard.visits import Visits, go, is_for_everybody, is_open, query
from tests.suites.served import PATIENCE, served

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("dashboard in a browser"), pytest.mark.timeout(300)]

GATEWAY = """
[server]
trusted_proxies = ["127.0.0.1"]

[gateway.limits.few]
rate = "1/d"
burst = 2

[gateway.limits.new]
rate = "1/d"
dry_run = true

[gateway.routes.admin]
app = "admin"
limits = ["few", "new"]

[gateway.routes.prices]
operations = ["guarded.v1.Prices/*"]

[[gateway.firewall.rules]]
name = "no-wordpress"
action = "deny"
paths = ["/wp-admin/*"]

[gateway.firewall.ban]
violations = 3
"""
PLACES = {
    "one process": '[processes]\nmain = ["*"]\n',
    "split": '[processes]\nprices = ["prices"]\nadmin = ["admin"]\nweb = { services = ["web"], replicas = 2 }\n',
}
GUARDED = Path(__file__).parents[1] / "processes" / "guarded.py"
GOOD, GREEDY, PROBER = "198.51.100.1", "198.51.100.2", "203.0.113.7"


def section(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def row(page: Page, table: str, text: str) -> Locator:
    return section(page, table).locator("tbody tr").filter(has_text=text)


@in_every_look
def test_the_gateway_is_accessible_and_fits(
    open_page: Callable[..., Page], site: Site, scheme: str, size: dict
) -> None:
    site.stand_in.gateway.view = replace(site.stand_in.gateway.view, silent=["edge/2"])
    page = open_page(site, color_scheme=scheme, viewport=size)
    for address in ("/gateway", f"/gateway?route={LONG}", "/gateway?list=each&all=refusals&show=refused"):
        go(page, address, "Gateway")
        expect(page.locator(".missing")).to_have_text("edge/2 did not answer: what is known there is missing here.")
        expect(page.locator("nav a[aria-current]")).to_have_text(re.compile("^Gateway"))
        is_for_everybody(page)
    page.get_by_role("button", name="Ban an address").click()
    assert Axe().run(page).violations_count == 0


def test_routes_limits_and_rules_tell_how_they_fare(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    go(page, "/gateway", "Gateway")
    expect(row(page, "Routes", "payments").locator("td[data-grave=bad]")).to_have_text("4.1\u202f%")
    expect(row(page, "Routes", "site").first).to_contain_text("ban 88,112")
    expect(row(page, "Routes", "site").first).to_contain_text("dry run tighter 912")
    expect(row(page, "Routes", "old")).to_contain_text("redirect 77")
    visitors = row(page, "Limits", "visitors")
    expect(visitors).to_contain_text("4,031")
    expect(visitors.locator("li[data-full]")).to_have_count(1)
    expect(row(page, "Limits", "tighter")).to_contain_text("dry runstore away")
    expect(row(page, "Limits", "uploads")).to_contain_text("4 at once")
    expect(row(page, "Firewall rules", "rule-4")).to_contain_text("anything")
    expect(section(page, "Bans")).to_contain_text("the latest 2 of 1,204")
    page.get_by_role("link", name="payments", exact=True).click()
    assert query(page) == {"route": "payments"}
    expect(page.get_by_role("link", name="All routes")).to_be_visible()
    expect(section(page, "Who is refused")).to_contain_text("No refusal is like that.")
    page.keyboard.press("Escape")
    assert query(page) == {}


def test_who_is_refused_is_told_together_and_one_by_one(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK)
    go(page, "/gateway", "Gateway")
    rows = section(page, "Who is refused").locator("tbody tr")
    latest = site.stand_in.gateway.view.latest
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text(FLOODER)
    expect(rows.first).to_contain_text(str(sum(each.client == FLOODER for each in latest)))
    expect(row(page, "Who is refused", SCANNER)).to_contain_text("banned")
    expect(row(page, "Who is refused", HOLDER)).to_contain_text("ada@example.org")
    page.get_by_role("button", name="Dry run").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("let in")
    page.get_by_role("button", name="Dry run").press("Shift+Tab")
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="One by one").click()
    expect(rows).to_have_count(25)
    page.get_by_role("link", name="All 200").click()
    expect(rows).to_have_count(200)
    page.get_by_role("searchbox").fill("ada@")
    expect(rows).to_have_count(sum(each.client == HOLDER for each in latest))


def test_an_address_is_banned_and_let_in_again_after_a_question(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site, viewport=DESK, broken=True)  # a refusal is part of the story
    go(page, "/gateway", "Gateway")
    dialog, said = page.get_by_role("dialog"), page.locator("#told")
    page.get_by_role("button", name="Ban an address").click()
    dialog.get_by_label("Address").fill("nobody")
    dialog.get_by_role("button", name="Ban it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("'nobody' is no address")
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name=f"Ban {HOLDER}", exact=True).click()
    expect(dialog.get_by_label("Address")).to_have_value(HOLDER)
    dialog.get_by_label("For").select_option("1 hour")
    dialog.get_by_label("Why").fill("tries passwords")
    dialog.get_by_role("button", name="Ban it").click()
    expect(said).to_have_text(f"{HOLDER} is banned in 2 replicas. edge/2 did not answer: look again when it does.")
    expect(row(page, "Bans", HOLDER)).to_contain_text("tries passwords")
    expect(page.get_by_role("button", name=f"Ban {HOLDER}", exact=True)).to_have_count(0)
    page.get_by_role("button", name=f"Unban {NETWORK}").click()
    dialog.get_by_role("button", name="Unban it").click()
    expect(said).to_have_text(f"{NETWORK} may come in again.")
    expect(row(page, "Bans", NETWORK)).to_have_count(0)
    assert site.stand_in.gateway.did == [("ban", HOLDER, 3600.0, "tries passwords"), ("unban", NETWORK)]


def test_a_system_without_a_gateway_says_so_and_lists_no_page_of_it(open_page: Callable[..., Page], many: Site) -> None:
    page = open_page(many, viewport=PHONE)
    go(page, "/gateway", "Gateway")
    expect(page.locator(".empty")).to_contain_text("No gateway")
    expect(page.get_by_role("navigation").get_by_role("link", name="Processes")).to_be_visible()
    expect(page.get_by_role("navigation").get_by_role("link", name="Gateway")).to_have_count(0)
    expect(page.get_by_role("button", name="Ban an address")).to_have_count(0)
    is_for_everybody(page)


@pytest.mark.parametrize("place", PLACES)
def test_what_is_done_on_the_page_holds_at_the_edge(tmp_path: Path, browser: Browser, place: str) -> None:
    shutil.copy(GUARDED, tmp_path)
    with served(tmp_path, "guarded.py", PLACES[place] + GATEWAY) as run:
        link = re.search(r"(http://\S+)/\?token=(\w+)", run.shows("/?token="))
        assert link is not None

        def ask(client: str, path: str, times: int = 1) -> list[int]:
            """By new connections, so that each replica of the edge is asked."""
            fields = {"x-forwarded-for": client, "connection": "close"}
            return [httpx.get(run.address + path, headers=fields, timeout=PATIENCE).status_code for _ in range(times)]

        assert ask(GOOD, "/api/prices/tea", 4) == [200] * 4
        assert 429 in ask(GREEDY, "/admin/x", 8)
        assert set(ask(PROBER, "/wp-admin/x", 10)) == {403}

        visits = Visits(browser)
        page = visits.begin(link[1], viewport=DESK)
        page.goto(f"/?token={link[2]}")
        page.get_by_role("navigation").get_by_role("link", name="Gateway").click()
        is_open(page, "Gateway")
        expect(row(page, "Routes", "prices")).to_contain_text("200 4")
        expect(row(page, "Routes", "admin")).to_contain_text("few ")
        expect(row(page, "Routes", "admin")).to_contain_text("dry run new")
        expect(row(page, "Limits", "few").locator("li[data-full]").first).to_contain_text(GREEDY)
        expect(row(page, "Firewall rules", "no-wordpress")).to_contain_text("at /wp-admin/*")
        expect(row(page, "Bans", PROBER)).to_contain_text("3 violations")
        expect(row(page, "Who is refused", PROBER).first).to_contain_text("/wp-admin/x")
        is_for_everybody(page)

        page.get_by_role("button", name="Ban an address").click()
        page.get_by_role("dialog").get_by_label("Address").fill(GOOD)
        page.get_by_role("dialog").get_by_role("button", name="Ban it").click()
        replicas = "2 replicas" if place == "split" else "1 replica"
        expect(page.locator("#told")).to_have_text(f"{GOOD} is banned in {replicas}.")
        assert set(ask(GOOD, "/api/prices/tea", 8)) == {403}
        page.get_by_role("button", name=f"Unban {GOOD}").click()
        page.get_by_role("dialog").get_by_role("button", name="Unban it").click()
        expect(page.locator("#told")).to_have_text(f"{GOOD} may come in again.")
        assert set(ask(GOOD, "/api/prices/tea", 8)) == {200}

        # What was seen is kept: a chart has it once ten seconds have ended.
        deadline = time.monotonic() + PATIENCE
        chart = page.locator('.plot[aria-label^="Requests: let in"]:not([aria-label*="at most 0/s"])')
        while not chart.count() and time.monotonic() < deadline:
            page.wait_for_timeout(500)
        expect(chart).to_have_count(1)
        page.get_by_role("navigation").get_by_role("link", name="Actions").click()
        expect(page.locator("tbody tr")).to_have_count(2)
        expect(page.locator("tbody tr").first).to_contain_text("GatewayControl.unban")
        told = [json.loads(line) for line in (tmp_path / ".meristem/guarded/actions.jsonl").read_text().splitlines()]
        assert [each["operation"] for each in told if each["event"] == "began"] == ["ban", "unban"]
        visits.end()
