"""Whatever the partner does, a search is neither broken nor delayed by more than the budget."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hotels.contracts.search import Offers, PartnerState, Search, Source
from hotels.search.partner import Breaker, PartnerClient
from hotels.search.service import SearchService
from hotels.search.settings import SearchSettings

from meristem import CallError, Code
from meristem.testing import ManualClock

DAY = date(2030, 6, 7)
GOOD = (
    b'{"offers": [{"id": "a", "hotel": "Alfama Rooms", "room": "Twin room", "stars": 4, "price_per_night": "99.90",'
    b' "currency": "EUR", "url": "https://partner.example/a"}]}'
)


async def ask(url: str, clock: ManualClock | None = None, budget: float = 30.0) -> Any:
    client = PartnerClient(SearchSettings(partner_url=url, partner_budget=budget), clock or ManualClock())
    await client.start()
    try:
        return await client.offers("Lisbon", DAY, 2, 2)
    finally:
        await client.stop()


async def test_a_good_answer_is_read(line: Any) -> None:
    line.body = GOOD

    state, offers = await ask(line.url)

    assert (state, offers[0].price_per_night) == (PartnerState.ANSWERED, Decimal("99.90"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("500 Internal Server Error", b"oops"),
        ("302 Found", b""),
        ("200 OK", b"<html>no JSON</html>"),
        ("200 OK", b'{"offers": [{"hotel": "half an of'),
        ("200 OK", b'{"offers": "none"}'),
        ("200 OK", b"\xff\xfe\x00"),
        ("200 OK", GOOD.replace(b"https://partner.example/a", b"javascript:alert(1)")),
        ("200 OK", GOOD.replace(b'"99.90"', b'"-1"')),
        ("200 OK", GOOD.replace(b'"99.90"', b'"NaN"')),
        ("200 OK", GOOD.replace(b'"99.90"', b'"1E+999999"')),
        ("200 OK", b'{"offers": []}' + b" " * 1_000_001),
    ],
)
async def test_garbage_means_that_the_partner_is_down(line: Any, status: str, body: bytes) -> None:
    line.status, line.body = status, body

    assert await ask(line.url) == (PartnerState.DOWN, [])


async def test_a_refused_connection_means_that_the_partner_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]

    assert await ask(f"http://127.0.0.1:{port}") == (PartnerState.DOWN, [])


async def test_a_partner_that_hangs_costs_the_budget_and_no_more(line: Any) -> None:
    line.body = None
    before = time.monotonic()

    async with asyncio.timeout(60):  # it would hang for ever
        answer = await ask(line.url, budget=0.3)

    assert answer == (PartnerState.SLOW, [])
    assert time.monotonic() - before > 0.25


async def test_a_partner_that_hangs_is_soon_asked_no_more(line: Any) -> None:
    line.body = None
    clock = ManualClock()
    client = PartnerClient(SearchSettings(partner_url=line.url, partner_budget=0.05), clock)
    await client.start()

    states = [(await client.offers("Lisbon", DAY, 2, 2))[0] for _ in range(10)]
    asked_before_the_pause = line.requests
    await clock.advance(5)
    line.body = GOOD
    client.settings = SearchSettings(partner_url=line.url, partner_budget=30.0)  # this answer is read to its end
    back = await client.offers("Lisbon", DAY, 2, 2)
    await client.stop()

    assert states == [PartnerState.SLOW] * 3 + [PartnerState.DOWN] * 7
    assert asked_before_the_pause <= 3  # a slow machine may not even get to ask within the budget
    assert back[0] is PartnerState.ANSWERED


async def test_after_the_pause_one_request_tries_for_all() -> None:
    clock = ManualClock()
    breaker = Breaker(failures=2, pause=5.0, clock=clock)
    for _ in range(2):
        assert breaker.lets_through()
        breaker.failed()
    clock.step(3600)  # a clock that is set neither ends the pause nor prolongs it
    assert not breaker.lets_through()

    clock.step(-7200)
    await clock.advance(5)

    assert breaker.lets_through()
    assert not breaker.lets_through()
    breaker.abandoned()
    assert breaker.lets_through()
    breaker.succeeded()
    assert breaker.lets_through()
    assert breaker.lets_through()


async def test_a_search_shows_both_houses_cheapest_first(
    line: Any, run: Callable[..., Any], listing: Callable[..., Any]
) -> None:
    line.body = GOOD
    settings = {"search": {"partner_url": line.url, "partner_budget": 5.0}}
    async with run(SearchService, settings=settings, clock=ManualClock()) as app:
        await app.service(SearchService).list_hotel(
            listing(rooms=[("Double room", 2, 1, "120.00"), ("Box room", 2, 1, "45.00")])
        )

        found = await app.client(Search).find("lisbon", DAY, 2, 2)

    assert [(offer.source, offer.room) for offer in found.offers] == [
        (Source.OWN, "Box room"),
        (Source.PARTNER, "Twin room"),
        (Source.OWN, "Double room"),
    ]
    theirs = found.offers[1]
    assert (theirs.city, theirs.country, theirs.total.amount) == ("Lisbon", "Portugal", Decimal("199.80"))
    assert theirs.link == "https://partner.example/a"


async def test_two_hundred_searches_wait_for_a_hanging_partner_together(
    line: Any, run: Callable[..., Any], listing: Callable[..., Any]
) -> None:
    line.body = None
    async with run(SearchService, settings={"search": {"partner_url": line.url}}, clock=ManualClock()) as app:
        await app.service(SearchService).list_hotel(listing())
        client = app.client(Search)

        async def find() -> Offers:
            while True:
                try:
                    return await client.find("Lisbon", DAY)
                except CallError as error:  # on a slow machine the two seconds of a search may be over
                    if error.code is not Code.DEADLINE_EXCEEDED:
                        raise

        async with asyncio.timeout(60):
            found = await asyncio.gather(*(find() for _ in range(200)))

    assert all(len(each.offers) == 1 for each in found)
    assert {each.partner for each in found} <= {PartnerState.SLOW, PartnerState.DOWN}
