"""The pages of sagas over a real system: the one that a number belongs to is found, and every button has its effect."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from meristem import CallError, Contract, Flow, Message, Service, System, once, saga
from meristem.operators.asking import Asking
from meristem.operators.health import READY, InstanceHealth
from meristem.operators.system_sagas import SystemSagas
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.system.blueprint import Blueprint
from tests.dashboard.standin import Site, StandIn
from tests.dashboard.systems import hotels

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("dashboard in a browser"), pytest.mark.timeout(300)]

BROKEN: set[str] = set()


class Approval(Message):
    """Somebody says yes."""

    by: str


class Bank(Contract, Protocol, package="stays.bank.v1"):
    @once(timeout=20.0)
    async def pay(self, number: str) -> str: ...
    @once(timeout=20.0)
    async def refund(self, payment: str) -> None: ...


class Stays(Contract, Protocol, package="stays.v1"):
    @once(timeout=20.0)
    async def book(self, number: str, password: str) -> str: ...


class BankService(Bank, Service):
    async def pay(self, number: str) -> str:
        return f"payment of {number}"

    async def refund(self, payment: str) -> None:
        if payment.removeprefix("payment of ") in BROKEN:
            raise ValueError("the bank's register has no such payment")


class StaysService(Stays, Service):
    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    @saga(search=["number"], signals=[Approval])
    async def book(self, flow: Flow, number: str, password: str) -> str:
        paid = await flow.with_undo(self.bank.pay(number), self.bank.refund)
        await flow.step(self._look, number)
        if number.startswith("W"):
            await flow.wait_for_signal(Approval, timeout=None)
        return paid

    async def _look(self, number: str) -> None:
        if number.startswith("X"):
            raise ValueError("the register of guests has no such number")


class Living:
    """The process that runs here, as one of those that operators ask."""

    labels = {"process": "main", "replica": "0"}
    services = ("stays", "bank")
    restarts = 0

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly

    async def health(self) -> InstanceHealth:
        return InstanceHealth("main", 0, READY, None, 0, 0.0)

    async def ask(self, operation: Any, request: Any) -> Any:
        return await self.assembly.desks.ask(operation, request)


class Run:
    def __init__(self, *found: Living) -> None:
        self.found = found

    def instances(self) -> Any:
        return self.found


class Booked:
    """A site whose sagas are real, in `database`."""

    def __init__(self, folder: Path) -> None:
        options = Options(database=f"sqlite:///{folder}/{{service}}.db", environment={}, development=True)
        self.database = folder / "stays.db"
        self.site = Site(StandIn(hotels(time.time(), traces=20)))
        self.assembly = Assembly(Blueprint(System("stays", services=[StaysService, BankService])), "main", options)
        self.site._do(self._start())
        self.site.stand_in.sagas = SystemSagas(Asking(Run(Living(self.assembly))))
        self.site.up()

    async def _start(self) -> None:
        await self.assembly.start()
        await self.assembly.activate()

    async def _stop(self) -> None:
        await self.assembly.drain()
        await self.assembly.stop()

    def book(self, number: str) -> None:
        async def book() -> None:
            try:
                await self.assembly.client(Stays).book(number, "pass-1234")
            except CallError as error:
                print(error)  # it is parked, or cancelled

        asyncio.run_coroutine_threadsafe(book(), self.site._loop)

    def rows(self, sql: str, *values: object) -> list[tuple]:
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(sql, values).fetchall()

    def until(self, sql: str, *values: object, fits: Callable[[list[tuple]], bool] = bool) -> list[tuple]:
        end = time.monotonic() + 30
        while not fits(found := self.rows(sql, *values)):
            assert time.monotonic() < end, found
            time.sleep(0.05)
        self.site.stand_in.changes.update(figures=1)  # as each second has its news where a system runs
        return found

    def close(self) -> None:
        self.site._do(self._stop())
        self.site.close()


@pytest.fixture
def booked(tmp_path: Path) -> Iterator[Booked]:
    BROKEN.clear()
    found = Booked(tmp_path)
    yield found
    found.close()


STATE = "SELECT state FROM meristem_saga WHERE id = ?"
OF_NUMBER = "SELECT id FROM meristem_saga WHERE json_extract(input, '$.number') = ? AND state = ?"


def found_id(booked: Booked, number: str, state: str) -> str:
    return booked.until(OF_NUMBER, number, state)[0][0]


def confirmed(page: Page, button: str, action: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button").first).to_be_focused()
    dialog.get_by_role("button", name=action, exact=True).click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("status").and_(page.locator("#told"))).not_to_be_empty()


def test_a_number_finds_its_saga_whose_values_are_shown_when_asked_for(open_page: Callable[..., Page], booked: Booked) -> None:  # fmt: skip # noqa: E501
    for number in ("B-1", "B-2", "B-3"):
        booked.book(number)
        found_id(booked, number, "done")
    page = open_page(booked.site)
    page.goto("/sagas")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("searchbox").fill("B-2")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody tr a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("book")
    expect(page.locator(".saga-rows li")).to_have_count(2)
    expect(page.locator("main")).not_to_contain_text("B-2")
    page.get_by_role("button", name="Show values").click()
    expect(page.locator(".payload").first).to_contain_text('"number": "B-2"')
    expect(page.locator(".payload").first).to_contain_text('"password": "***"')
    page.locator(".saga-row").first.click()
    expect(page.locator(".panel")).to_contain_text('"payment of B-2"')
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_have_count(0)
    page.goto("/sagas?field=number&text=B-3")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.goto("/sagas?state=parked")
    expect(page.locator(".empty")).to_contain_text("No saga is like that")


def test_a_parked_saga_is_retried_by_its_button_and_all_by_theirs(open_page: Callable[..., Page], booked: Booked) -> None:  # fmt: skip # noqa: E501
    BROKEN.update(["X-1", "X-2", "X-3"])
    for number in ("X-1", "X-2", "X-3"):
        booked.book(number)
        found_id(booked, number, "parked")
    BROKEN.clear()
    one = found_id(booked, "X-1", "parked")
    page = open_page(booked.site)
    page.goto(f"/sagas/stays/{one}")
    expect(page.locator(".wait")).to_contain_text("the undo Bank.refund of step 0")
    page.get_by_role("button", name="Retry…").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    report = Axe().run(page)
    assert report.violations_count == 0, report.generate_report()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert booked.rows(STATE, one) == [("parked",)]
    confirmed(page, "Retry…", "Retry it")
    booked.until(STATE, one, fits=lambda rows: rows == [("failed",)])
    expect(page.locator(".state")).to_have_text("failed")

    page.goto("/sagas?state=parked")
    expect(page.locator("tbody tr")).to_have_count(2)
    confirmed(page, "Retry all…", "Retry all")
    booked.until("SELECT count(*) FROM meristem_saga WHERE state = 'failed'", fits=lambda rows: rows == [(3,)])
    expect(page.locator(".empty")).to_be_visible()


def test_a_saga_that_waits_is_sent_its_signal_or_cancelled_and_undone(open_page: Callable[..., Page], booked: Booked) -> None:  # fmt: skip # noqa: E501
    ids = []
    for number in ("W-1", "W-2"):
        booked.book(number)
        ids.append(found_id(booked, number, "waiting"))
    page = open_page(booked.site, broken=True)  # a signal is refused
    page.goto(f"/sagas/stays/{ids[0]}")
    expect(page.locator(".wait")).to_contain_text("Step 2 waits for the signal Approval")
    page.get_by_role("button", name="Signal…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Send it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("by")
    assert booked.rows(STATE, ids[0]) == [("waiting",)]
    dialog.get_by_label("JSON").fill(json.dumps({"by": "Grace"}))
    dialog.get_by_role("button", name="Send it").click()
    booked.until(STATE, ids[0], fits=lambda rows: rows == [("done",)])

    page.goto(f"/sagas/stays/{ids[1]}")
    confirmed(page, "Cancel…", "Cancel and undo it")
    booked.until(STATE, ids[1], fits=lambda rows: rows == [("failed",)])
    undone = "SELECT name, state FROM meristem_saga_step WHERE saga_id = ? AND kind = 'undo'"
    assert booked.rows(undone, ids[1]) == [("Bank.refund", "done")]
    expect(page.locator("li[data-kind=undo]")).to_contain_text("Bank.refund")
    # It has ended, so it waits for nothing any more.
    expect(page.locator("li[data-kind=wait]")).to_contain_text(re.compile(r"left after (?!0\s)"))
    expect(page.locator("li[data-open]")).to_have_count(0)


def test_what_is_tried_again_is_told_in_the_list(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site)
    page.goto("/sagas?state=running")
    row = page.get_by_role("row").filter(has_text="running").first
    expect(row).to_contain_text("Bank.pay is tried again, 4 attempts failed: the bank is away")


def test_as_many_steps_are_told_as_are_drawn(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page(site)
    page.goto("/sagas?state=running")
    page.locator("tbody .row-link").first.click()
    expect(page.locator(".wait")).to_contain_text("began")
    expect(page.locator(".saga-rows > li[data-state=retried]")).to_have_count(1)
    drawn = page.locator(".saga-rows > li:not([data-kind=undo])").count()
    expect(page.locator(".figure", has_text="Steps")).to_have_text(f"Steps{drawn}")


def test_a_fork_begins_at_the_step_and_is_shown(open_page: Callable[..., Page], booked: Booked) -> None:
    booked.book("B-7")
    first = found_id(booked, "B-7", "done")
    page = open_page(booked.site)
    page.goto(f"/sagas/stays/{first}")
    page.locator(".saga-row").nth(1).click()
    page.get_by_role("button", name="Fork from here…").click()
    expect(page.get_by_role("dialog").get_by_label("From step")).to_have_value("1")
    page.get_by_role("dialog").get_by_role("button", name="Begin the fork").click()
    expect(page).not_to_have_url(re.compile(first))
    expect(page.locator(".summary")).to_contain_text("Fork of")
    other = page.url.rsplit("/", 1)[1]
    copied = "SELECT position, name FROM meristem_saga_step WHERE saga_id = ? ORDER BY position LIMIT 1"
    booked.until(STATE, other, fits=lambda rows: rows == [("done",)])
    assert booked.rows(copied, other) == [("0", "Bank.pay")]
