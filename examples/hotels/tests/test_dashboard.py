"""Operators look on at the whole site, page by page, and call its operations, by the link that the run prints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from browser import chromium
from playwright.sync_api import Page, expect
from sites import ARRIVAL, PATIENCE, eventually, run
from watched_site import WatchedSite, leave_an_old_event

from meristem.dashboard.static_files import ROUTE, ROUTES, StaticFiles
from tests.dashboard.looks import in_a_look_each
from tests.dashboard.visits import Visits, is_for_everybody, is_open
from tests.suites.sampled import sampled

# One run for all of them, and so in one process; each wait inside has a bound of its own.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("the hotel site and its dashboard"),
    pytest.mark.timeout(300),
]

PLACEMENTS = Path(__file__).parents[1] / "placements"
PLACES = {"one process": PLACEMENTS / "single.toml", "split": PLACEMENTS / "split.toml"}


ANY = re.compile(".")


class Shown(NamedTuple):
    """A page, its title, and what stands there once there is something to tell; `{…}` is asked of the run."""

    address: str
    title: str | re.Pattern[str]
    content: str


def chart(says: str) -> str:
    return f'.plot[role="img"][aria-label^="{says}"]:not([aria-label*="\u2013"])'


PAGES = {
    "map": Shown("/map", "Map", ".node[data-kind=service] >> nth=6"),
    "part": Shown("/map?node=service:payments", "Map", ".panel .pairs li"),
    "traces": Shown("/traces", "Traces", "tbody tr .row-link"),
    "trace": Shown("/traces/{trace}", ANY, "[role=treeitem] >> nth=2"),
    "logs": Shown("/logs", "Logs", ".lines li >> nth=2"),
    "errors": Shown("/errors", "Errors", "tbody tr"),
    "sagas": Shown("/sagas", "Sagas", "tbody tr >> nth=1"),
    "saga": Shown("/sagas/reservations/{saga}", ANY, "text=It failed"),
    "events": Shown("/events?minutes=15", "Events", chart("Outbox: waiting")),
    "subscriber": Shown("/events?subscriber=reservations", "Events", ".panel .pairs li >> nth=1"),
    "dead": Shown("/events/dead", "Dead letters", "tbody tr:has-text('does not fit')"),
    "operations": Shown("/operations?minutes=15", "Operations", chart("Rate: rate ")),
    "load": Shown("/operations?charts=load&minutes=15", "Operations", chart("Memory: memory ")),
    "waiting": Shown(
        "/operations?charts=events&service=reservations&minutes=15", "Operations", chart("Event lag: oldest ")
    ),
    "processes": Shown("/processes?minutes=15", "Processes", chart("Loop lag: all ")),
    "replicas": Shown("/processes?process={process}&minutes=15", "Processes", chart("CPU: #0 ")),
    "contracts": Shown("/contracts", "Contracts", "tbody tr >> nth=5"),
    "contract": Shown("/contracts/rooms/hotels.rooms.v1.Rooms", "Rooms", ".operation-list a >> nth=2"),
    "settings": Shown("/settings", "Settings", "tbody tr"),
    "gateway": Shown("/gateway", "Gateway", "tbody tr:has-text('pages')"),
    "actions": Shown("/actions", "Actions", "tbody tr:has-text('publish')"),
}


@pytest.fixture(scope="module", params=sampled(PLACES, 1, "placement of the site that is watched"))
def watched(request: pytest.FixtureRequest, new_home: Callable[[], Path]) -> Iterator[WatchedSite]:
    home = new_home()
    leave_an_old_event(home)
    with run(home, placement=PLACES[request.param]) as site, closing(WatchedSite(site)) as watched:
        watched.use()
        yield watched


@pytest.fixture(scope="module")
def visits(watched: WatchedSite) -> Iterator[Visits]:
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium() as browser:
        yield Visits(browser)


@pytest.fixture
def open_page(visits: Visits, watched: WatchedSite) -> Iterator[Callable[..., Page]]:
    """Gives browsers that have followed the link of the run."""

    def signed_in(**options: object) -> Page:
        page = visits.begin(watched.address, **options)
        page.context.set_default_timeout(PATIENCE * 1000)
        page.context.add_cookies(watched.cookies)
        return page

    yield signed_in
    visits.end()


def test_no_page_of_the_dashboard_is_left_out():
    routes = StaticFiles().file(ROUTES)
    assert routes is not None
    patterns = {path: re.compile(re.sub(r":\w+", "[^/?]+", path)) for path, _ in ROUTE.findall(routes.body.decode())}
    shown = [each.address.partition("?")[0] for each in PAGES.values()]
    assert len(patterns) > 10
    assert [path for path, known in patterns.items() if not any(map(known.fullmatch, shown))] == []


@in_a_look_each(PAGES, 6)
def test_each_page_tells_of_the_run_to_everybody(
    watched: WatchedSite, open_page: Callable[..., Page], name: str, scheme: str, size: dict[str, int]
):
    shown = PAGES[name]
    page = open_page(color_scheme=scheme, viewport=size)
    page.goto(shown.address.format(**watched.facts))
    expect(page.locator(shown.content).first).to_be_visible()
    is_open(page, shown.title)
    expect(page.locator(".empty")).to_have_count(0)
    is_for_everybody(page)


def test_a_booking_is_one_tree_over_all_processes_with_what_its_events_caused(watched: WatchedSite):
    def spans() -> list[dict[str, Any]]:
        return watched.ask("Operator/Trace", trace_id=watched.facts["trace"])

    def loose(told: list[dict[str, Any]]) -> list[str]:
        known = {each["span_id"] for each in told}
        return [each["name"] for each in told if each["parent_id"] and each["parent_id"] not in known]

    def is_whole(told: list[dict[str, Any]]) -> bool:
        # A span is told when it has ended: what an event caused comes before the handling of the event itself.
        return {"notifications", "documents"} <= handlers(told) and not loose(told)

    def handlers(told: list[dict[str, Any]]) -> set[str]:
        return {each["service"] for each in told if each["kind"] == "consumer"}

    told = eventually(spans, is_whole)
    assert len([each for each in told if not each["parent_id"]]) == 1


def test_an_operator_holds_a_room_for_a_guest_and_sees_what_that_did(
    watched: WatchedSite, open_page: Callable[..., Page]
):
    site, page = watched.site, open_page()
    page.goto("/")
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
    form.get_by_role("textbox", name=re.compile("^User")).fill("guest-7")
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


def test_whose_token_is_revoked_is_asked_for_another_one(watched: WatchedSite, open_page: Callable[..., Page]):
    token = watched.command("tokens", "add", "ada").strip()
    page = open_page(broken=True)
    page.context.clear_cookies()
    page.goto(f"/?token={token}")
    expect(page.locator("#link")).to_have_text("Live")
    watched.command("tokens", "revoke", "ada")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
