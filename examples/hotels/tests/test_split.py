"""The site in nine processes: it does what it does in one, and a process that fails costs no more than itself."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import httpx
import pypdf
import pytest
from hotels.contracts.payments import EntryKind
from served import persistently
from sites import ARRIVAL, CARD, PATIENCE, eventually, guest, milestones
from split import Crowd, SplitSite, search, unharmed

from meristem.supervision.signals import RELOAD

pytestmark = [pytest.mark.xdist_group("split"), pytest.mark.timeout(300)]  # each wait inside has a bound of its own

COMPLETE = {"requested", "held", "paid", "confirmed", "receipt_issued", "guest_told", "hotel_told"}
RENEWED = "everything has been started anew"
SLOW = {**CARD, "number": "4000000000000119"}


@pytest.fixture(scope="module")
def site(new_home: Callable[[], Path]) -> Iterator[SplitSite]:
    cheap = {"HOTELS_USERS_TIME_COST": "1", "HOTELS_USERS_MEMORY_KIB": "8"}
    split = SplitSite(new_home(), **cheap)
    try:
        split.started()
        yield split
    finally:
        split.stop()


@pytest.fixture
def whole(site: SplitSite) -> SplitSite:
    """The site with all its processes at work."""
    site.whole()
    return site


@pytest.fixture(scope="module")
def rooms(site: SplitSite) -> Iterator[str]:
    """Rooms that no other test gets."""
    return iter([offer["room_id"] for offer in site.rooms()])


def money(site: SplitSite, booking_id: str) -> tuple[Decimal, Decimal]:
    """What the bank has of a booking, and what the ledger says."""
    signs = {EntryKind.CHARGE: 1, EntryKind.REFUND: -1}
    lines = site.ledger(booking_id)
    return (
        sum((Decimal(each["net"]) for each in site.charges(booking_id)), Decimal(0)),
        sum((line.amount.amount * signs[line.kind] for line in lines), Decimal(0)),
    )


def test_a_guest_books_reads_the_receipt_and_cancels(whole: SplitSite, rooms: Iterator[str]):
    who = guest("Mary Shelley")
    booked = whole.book(next(rooms), "mary", guest=who)
    assert booked.status_code == 201, booked.text
    booking_id, headers = booked.json()["booking_id"], whole.signed_in(who)

    eventually(lambda: whole.booking(booking_id, headers), lambda each: set(milestones(each)) == COMPLETE)
    receipt = whole.http.get(f"/api/bookings/{booking_id}/receipt.pdf", headers=headers)
    pages = pypdf.PdfReader(io.BytesIO(receipt.content)).pages
    assert who["name"] in "".join(page.extract_text() for page in pages)
    assert len(whole.mails(who["email"])) == 1
    price = Decimal(booked.json()["price"]["amount"])
    assert money(whole, booking_id) == (price, price)

    cancelled = whole.cancel(booking_id, "mary changes her mind", headers)
    assert cancelled.json()["status"] == "cancelled"
    assert money(whole, booking_id) == (0, 0)
    eventually(lambda: whole.mails(who["email"]), lambda mails: len(mails) == 2)


def test_while_documents_dies_again_and_again_bookings_are_confirmed_and_completed_later(
    whole: SplitSite, rooms: Iterator[str]
):
    who = guest("Charles Babbage")
    with whole.dying("documents-0"):
        booked = whole.book(next(rooms), "charles", guest=who)
        headers = whole.signed_in(who)
        seen = whole.booking(booked.json()["booking_id"], headers)

        assert (booked.status_code, booked.json()["status"]) == (201, "confirmed")
        assert "receipt_issued" not in milestones(seen)
        assert money(whole, seen["booking_id"]) == (Decimal(seen["price"]["amount"]),) * 2

    eventually(lambda: whole.booking(seen["booking_id"], headers), lambda each: set(milestones(each)) == COMPLETE)
    assert len(whole.mails(who["email"])) == 1
    assert whole.replicas()["documents-0"].restarts > 0


@pytest.mark.parametrize(
    "label", ["rooms-0", "search-0", "users-0", "payments-0", "notifications-0", "reservations-0", "edge-0"]
)
def test_bookings_end_complete_or_undone_whichever_process_is_killed(
    whole: SplitSite, rooms: Iterator[str], label: str
):
    guests = [guest(f"{label} guest {number}") for number in range(8)]
    wanted = [next(rooms) for _ in guests]
    restarts = whole.replicas()[label].restarts

    def book(number: int) -> httpx.Response:
        who = guests[number]
        return persistently(lambda: whole.book(wanted[number], f"{label} {number}", guest=who))

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(book, number) for number in range(8)]
        answers[0].result()
        whole.kill(label)
        booked = [each.result() for each in answers]
    eventually(lambda: whole.replicas()[label].restarts, lambda count: count > restarts)
    whole.whole()
    eventually(whole.owed, lambda owed: not owed)

    assert {each.status_code for each in booked} == {201}, [each.text for each in booked]
    for who, answer in zip(guests, booked, strict=True):
        (booking,) = whole.bookings(whole.signed_in(who))
        assert set(milestones(booking)) == COMPLETE
        assert booking["booking_id"] == answer.json()["booking_id"]
        assert money(whole, booking["booking_id"]) == (Decimal(booking["price"]["amount"]),) * 2
        assert len(whole.mails(who["email"])) == 1


def test_a_partner_that_hangs_or_fails_neither_delays_nor_breaks_a_search(whole: SplitSite):
    eventually(lambda: whole.search()["partner"], lambda partner: partner == "answered")
    try:
        whole.http.put("/partner/behaviour", json={"delay_ms": 5000, "fail": False}).raise_for_status()
        query = {"city": "Porto", "arrival": ARRIVAL.isoformat()}
        slow = whole.http.get("/api/hotels", params=query)
        assert slow.json()["partner"] == "slow"
        assert any(each["source"] == "own" for each in slow.json()["offers"])
        whole.http.put("/partner/behaviour", json={"delay_ms": 0, "fail": True}).raise_for_status()
        eventually(lambda: whole.search(city="Porto")["partner"], lambda partner: partner == "down")
    finally:
        whole.http.put("/partner/behaviour", json={"delay_ms": 0, "fail": False}).raise_for_status()


def test_a_bank_that_times_out_is_asked_again_and_charges_once(whole: SplitSite, rooms: Iterator[str]):
    who = guest("Emmy Noether")
    booked = whole.book(next(rooms), "emmy", guest=who, card=SLOW)
    assert booked.status_code == 201, booked.text
    (charge,) = whole.charges(booked.json()["booking_id"])
    assert Decimal(charge["net"]) == Decimal(booked.json()["price"]["amount"])


async def test_two_hundred_searches_at_once_succeed_while_one_of_two_replicas_is_frozen(whole: SplitSite):
    async def trial() -> list[str]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=whole.address, timeout=PATIENCE, limits=limits) as client:
            with whole.frozen("search-1"):
                frozen = await asyncio.gather(*(search(client) for _ in range(200)))
            return [*frozen, *await asyncio.gather(*(search(client) for _ in range(200)))]

    await unharmed(trial)


async def test_a_replica_that_is_killed_costs_no_search(whole: SplitSite):
    async def trial() -> list[str]:
        whole.whole()
        before = whole.replicas()["search-0"].restarts
        crowd = Crowd(whole, 32)

        def restarted() -> bool:
            replica = whole.replicas()["search-0"]
            return replica.restarts > before and replica.state == "ready" and len(crowd.outcomes) > 300

        searching = asyncio.create_task(crowd.search_until(restarted))
        await crowd.has_searched(50)
        whole.kill("search-0")
        return await searching

    await unharmed(trial)


async def test_a_rolling_restart_loses_no_request(whole: SplitSite):
    async def trial() -> list[str]:
        crowd = Crowd(whole, 32)
        before = {each.pid for each in whole.replicas().values()}
        told = whole.log.count(RENEWED)

        def renewed() -> bool:
            return whole.log.count(RENEWED) > told and len(crowd.outcomes) >= 500

        searching = asyncio.create_task(crowd.search_until(renewed))
        await crowd.has_searched(50)
        whole.process.send_signal(RELOAD)
        outcomes = await searching
        assert not before & {each.pid for each in whole.replicas().values()}
        return outcomes

    await unharmed(trial)


def test_a_stop_under_load_answers_what_is_in_flight_and_leaves_nothing(whole: SplitSite, rooms: Iterator[str]):
    pids = [each.pid for each in whole.replicas().values()]
    known = len(whole.statement())
    with ThreadPoolExecutor(1) as pool:
        booking = pool.submit(whole.book, next(rooms), "last", guest=guest("Last Guest"), card=SLOW)
        eventually(whole.statement, lambda found: len(found) > known)  # the bank has it and is slow to say so
        whole.process.send_signal(signal.SIGTERM)
        answer = booking.result()
    whole.stop()

    assert (answer.status_code, answer.json()["status"]) == (201, "confirmed"), answer.text
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert list((whole.home / ".meristem" / "hotels").glob("run*")) == []
