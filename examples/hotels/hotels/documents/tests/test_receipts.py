"""Every confirmed booking gets one receipt, and their numbers have no gap."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pypdf
import pytest
from hotels.contracts.documents import Documents, ReceiptUnknown
from hotels.contracts.reservations import Booking, BookingConfirmed
from hotels.documents import tables
from hotels.documents.service import DocumentsService
from sqlalchemy import select

from meristem.testing import ManualClock


@pytest.fixture
def office(run: Callable[..., Any]) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_office(clock: ManualClock | None = None) -> Any:
        async with run(DocumentsService, clock=clock or ManualClock()) as app:
            client = app.client(Documents)
            client.issue = app.service(DocumentsService).issue
            client.database = app.database("documents")
            yield client

    return open_office


def confirmed(booking: Booking) -> BookingConfirmed:
    return BookingConfirmed(booking_id=booking.booking_id, booking=booking)


def another(booking: Booking) -> BookingConfirmed:
    return confirmed(msgspec.structs.replace(booking, booking_id=uuid4()))


async def test_a_receipt_says_who_paid_how_much_for_what(office: Callable[..., Any], booking: Booking) -> None:
    async with office() as documents:
        await documents.issue(confirmed(booking))
        pdf = await documents.receipt(booking.booking_id)

    text = " ".join(pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text().split())
    for expected in ("Zoë Łuczak", "Casa do Rio", "€1,160.00", "€580.00", "2030-000001", "7 June 2030", "4242"):
        assert expected in text


async def test_a_booking_without_a_receipt_is_unknown(office: Callable[..., Any], booking: Booking) -> None:
    async with office() as documents:
        with pytest.raises(ReceiptUnknown):
            await documents.receipt(booking.booking_id)


async def test_receipts_that_are_issued_at_once_bear_the_numbers_on_their_pages(
    office: Callable[..., Any], booking: Booking
) -> None:
    async with office() as documents:
        await asyncio.gather(*(documents.issue(another(booking)) for _ in range(6)))
        stored = await documents.database.fetch_all(select(tables.receipts).order_by(tables.receipts.c.number))

    assert [row["number"] for row in stored] == [f"2030-{number:06}" for number in range(1, 7)]
    for row in stored:
        assert row["number"] in pypdf.PdfReader(io.BytesIO(row["pdf"])).pages[0].extract_text()


async def test_a_receipt_that_fails_takes_no_number(
    office: Callable[..., Any], booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office() as documents:
        event = confirmed(booking)
        await documents.issue(event)
        with pytest.raises(Exception, match="receipts"):
            await documents.issue(event)  # the booking has one: the row is refused, its number given back
        await documents.issue(another(booking))
        numbers = await documents.database.fetch_all(select(tables.receipts.c.number), into=str)

    assert sorted(numbers) == ["2030-000001", "2030-000002"]


async def test_a_new_year_begins_with_one(office: Callable[..., Any], booking: Booking) -> None:
    clock = ManualClock(datetime(2030, 12, 31, 23, 59, tzinfo=UTC))
    async with office(clock) as documents:
        await documents.issue(another(booking))
        await clock.advance(60)
        await documents.issue(another(booking))
        numbers = await documents.database.fetch_all(select(tables.receipts.c.number), into=str)

    assert sorted(numbers) == ["2030-000001", "2031-000001"]
