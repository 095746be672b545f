"""Issues the receipt of every confirmed booking."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import final
from uuid import UUID

from hotels.contracts.documents import Documents, ReceiptIssued, ReceiptUnknown
from hotels.contracts.reservations import Booking, BookingConfirmed
from hotels.documents import tables
from meristem import Clock, Database, Service, on


@final
class DocumentsService(Documents, Service, tables=tables.metadata):
    """Receipts as PDF, numbered by year without a gap."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def receipt(self, booking_id: UUID) -> bytes:
        pdf: bytes | None = await self.database.fetch_value(tables.PDF, {"booking_id": booking_id})
        if pdf is None:
            raise ReceiptUnknown(booking_id=booking_id)
        return pdf

    @on(BookingConfirmed)
    async def issue(self, event: BookingConfirmed) -> None:
        """Render the receipt, then number and store it.

        The number is on the page, and the page is rendered before the transaction opens, so that nobody waits for it:
        it bears the number that comes next. Should another replica have taken that one meanwhile, it is rendered anew;
        in one process receipts wait for each other, or all but one would be rendered twice.
        """
        async with self._one_at_a_time:
            await self._issue(event)

    async def _issue(self, event: BookingConfirmed) -> None:
        issued = self.clock.now()
        expected = (await self.database.fetch_value(tables.LAST, {"year": issued.year}) or 0) + 1
        pdf = await asyncio.to_thread(_render, event.booking, expected, issued)
        async with self.database.begin() as tx:
            taken = await self._take_number(issued.year)
            if taken != expected:
                pdf = await asyncio.to_thread(_render, event.booking, taken, issued)
            number = receipt_number(issued.year, taken)
            row = {"booking_id": event.booking_id, "number": number, "issued": issued, "pdf": pdf}
            tx.defer(tables.INSERT_RECEIPT, row)
            await tx.publish(ReceiptIssued(booking_id=event.booking_id, number=number, issued=issued))

    async def _take_number(self, year: int) -> int:
        async with self.database.begin() as tx:
            taken: int | None = await tx.fetch_value(tables.TAKE_NEXT, {"this": year})
            if taken is None:
                await tx.execute(tables.OPEN_YEAR, {"year": year})
                taken = await tx.fetch_value(tables.TAKE_NEXT, {"this": year})
            return taken


def _render(booking: Booking, taken: int, issued: datetime) -> bytes:
    from hotels.documents.rendering import render_receipt  # noqa: PLC0415 - its PDF library would slow every start

    return render_receipt(booking, receipt_number(issued.year, taken), issued.date())


def receipt_number(year: int, taken: int) -> str:
    """`2027-000042`."""
    return f"{year}-{taken:06}"
