"""Dead letters over a real system: what each button does is seen in its database, and in what its handlers hear."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Page, expect

from meristem import Contract, Database, Event, Service, System, Undeliverable, on, operation
from meristem.operators.asking import Asking
from meristem.operators.system_events import SystemEvents
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.system.blueprint import Blueprint
from tests.dashboard.standin import Site, StandIn
from tests.dashboard.systems import hotels

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("dashboard in a browser"), pytest.mark.timeout(300)]


class Sent(Event, package="parcels.v1"):
    parcel: str


class Desk(Contract, Protocol, package="parcels.v1"):
    @operation
    async def send(self, parcel: str) -> None: ...


class DeskService(Desk, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def send(self, parcel: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Sent(parcel=parcel))


class CarrierService(Service):
    def __init__(self) -> None:
        self.carried: list[str] = []
        self.has_van = False

    @on(Sent)
    async def carry(self, event: Sent) -> None:
        if not self.has_van:
            raise Undeliverable(f"no van for the {event.parcel}")
        self.carried.append(event.parcel)


class Depot:
    """A site whose events are real; it is the one process that its operators ask."""

    labels = {"process": "main", "replica": "0"}
    services = ("desk", "carrier")

    def __init__(self, folder: Path) -> None:
        options = Options(database=f"sqlite:///{folder}/{{service}}.db", environment={}, development=True)
        self._database = folder / "desk.db"
        self.site = Site(StandIn(hotels(time.time(), traces=20)))
        self._assembly = Assembly(Blueprint(System("depot", services=[DeskService, CarrierService])), "main", options)
        self.site._do(self._start())
        self.site.stand_in.events = SystemEvents(Asking(self))  # type: ignore[arg-type]
        self.site.up()

    def instances(self) -> list[Depot]:
        return [self]

    async def ask(self, asked: Any, request: Any) -> Any:
        return await self._assembly.desks.ask(asked, request)

    async def _start(self) -> None:
        await self._assembly.start()
        await self._assembly.activate()

    async def _stop(self) -> None:
        await self._assembly.drain()
        await self._assembly.stop()

    @property
    def carrier(self) -> CarrierService:
        return self._assembly.instances["carrier"].service

    def send(self, *parcels: str) -> None:
        for each in parcels:
            self.site._do(self._assembly.client(Desk).send(each))
        self.until(lambda: len(self.letters()) == len(parcels))

    def letters(self) -> list[str]:
        with closing(sqlite3.connect(self._database)) as database:
            found = database.execute("SELECT json_extract(body, '$.data.parcel') FROM meristem_dead_letter ORDER BY id")
            return [row[0] for row in found]

    def until(self, fits: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not fits():
            assert time.monotonic() < end, (self.letters(), self.carrier.carried)
            time.sleep(0.05)

    def close(self) -> None:
        self.site._do(self._stop())
        self.site.close()


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    found = Depot(tmp_path)
    yield found
    found.close()


def confirmed(page: Page, button: str | re.Pattern[str], action: str, said: str) -> None:
    page.get_by_role("button", name=button).click()
    page.get_by_role("dialog").get_by_role("button", name=action, exact=True).click()
    expect(page.locator("#told")).to_have_text(said)


def test_each_button_does_what_it_says_and_nothing_else(open_page: Callable[..., Page], depot: Depot) -> None:
    depot.send("lamp", "chair", "table", "lamp shade", "rug", "mirror")
    depot.carrier.has_van = True
    page = open_page(depot.site)
    page.goto("/events/dead")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(6)
    expect(rows.first).to_contain_text("no van for the mirror")

    rows.filter(has_text="chair").locator(".row-link").click()
    panel = page.locator(".panel")
    expect(panel).to_contain_text('"parcel": "***"')
    panel.get_by_role("button", name="Show values").click()
    expect(panel).to_contain_text('"parcel": "chair"')
    panel.get_by_role("button", name="Redrive").click()
    page.get_by_role("dialog").get_by_role("button", name="Redrive").click()
    expect(page.locator("#told")).to_have_text("1 event is delivered again.")
    depot.until(lambda: depot.carrier.carried == ["chair"])
    assert depot.letters() == ["lamp", "table", "lamp shade", "rug", "mirror"]

    expect(rows).to_have_count(5)
    for each in ("rug", "mirror"):
        rows.filter(has_text=each).get_by_role("checkbox").check()
    confirmed(page, "Discard 2", "Discard 2", "2 events are discarded.")
    assert depot.letters() == ["lamp", "table", "lamp shade"]

    page.get_by_role("searchbox").fill("the lamp")
    confirmed(page, "Redrive all 2 like that", "Redrive 2", "2 events are delivered again.")
    depot.until(lambda: sorted(depot.carrier.carried) == ["chair", "lamp", "lamp shade"])
    assert depot.letters() == ["table"]

    page.goto("/events/dead")
    confirmed(page, "Discard all 1", "Discard", "1 event is discarded.")
    expect(page.locator(".empty")).to_contain_text("No dead letters")
    assert depot.letters() == []
    assert len(depot.carrier.carried) == 3


def test_what_fails_again_is_a_dead_letter_again(open_page: Callable[..., Page], depot: Depot) -> None:
    depot.send("lamp")
    page = open_page(depot.site)
    page.goto("/events")
    page.get_by_role("link", name="1 dead letter of carrier").click()
    expect(page.get_by_role("button", name="Redrive all 1 like that")).to_be_visible()
    before = page.locator("tbody tr").get_attribute("data-key")
    confirmed(page, "Redrive all 1 like that", "Redrive", "1 event is delivered again.")
    depot.until(lambda: depot.letters() == ["lamp"])
    depot.site.stand_in.changes.update(figures=1)
    expect(page.locator("tbody tr")).not_to_have_attribute("data-key", before)
