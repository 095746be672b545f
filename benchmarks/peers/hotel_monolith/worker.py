"""Does what a booking leaves to be done: the receipt, then the letters; each job until it is done."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import aiosmtplib
import hotels
from receipts import Line, Party, Template, render
from receipts import Receipt as Page
from sqlalchemy import delete, select

from benchmarks.peers.hotel_monolith.letters import Letters
from benchmarks.peers.hotel_monolith.store import Store
from benchmarks.peers.hotel_monolith.tables import Booking, Job, Letter, Receipt, Sequence, Track

logger = logging.getLogger(__name__)
TEMPLATE = Path(hotels.__file__).parent / "documents" / "receipt.toml"
TOLD = {"recap": "guest_told", "reservation": "hotel_told"}
WIDTH = 16


class Worker:
    """Tasks of the application's own loop; jobs are in the database, their numbers in a queue."""

    def __init__(self, store: Store, smtp: str) -> None:
        self.store = store
        self.smtp = urlsplit(smtp)
        self.letters = Letters()
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._numbering = asyncio.Lock()

    async def start(self) -> None:
        """Take up what an earlier run left."""
        async with self.store.reading() as session:
            self.give(list(await session.scalars(select(Job.job_id).order_by(Job.job_id))))
        self._tasks = [asyncio.create_task(self._work()) for _ in range(WIDTH)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def give(self, jobs: list[int]) -> None:
        """Have jobs done soon; they are committed already."""
        for job in jobs:
            self._queue.put_nowait(job)

    async def _work(self) -> None:
        while True:
            number = await self._queue.get()
            try:
                await self._do(number)
            except Exception:
                logger.exception("job %d failed; it is tried again", number)
                asyncio.get_running_loop().call_later(1.0, self._queue.put_nowait, number)

    async def _do(self, number: int) -> None:
        async with self.store.reading() as session:
            job = await session.get_one(Job, number)
            booking = await session.get_one(Booking, job.booking_id)
            receipt = await session.get(Receipt, job.booking_id) if job.kind == "recap" else None
        if job.kind == "receipt":
            await self._issue(job, booking)
        else:
            await self._write(job, booking, receipt)

    async def _issue(self, job: Job, booking: Booking) -> None:
        """Numbers have no gaps; receipts wait for each other, or all but one would be rendered twice."""
        async with self._numbering:
            self.give([await self._numbered(job, booking)])

    async def _numbered(self, job: Job, booking: Booking) -> int:
        issued = datetime.now(UTC)
        async with self.store.reading() as session:
            sequence = await session.get(Sequence, issued.year)
        expected = (sequence.last if sequence else 0) + 1
        pdf = await asyncio.to_thread(_page, booking, _number(issued, expected), issued)
        async with self.store.writing() as session:
            sequence = await session.get(Sequence, issued.year)
            if sequence is None:
                sequence = Sequence(year=issued.year, last=0)
                session.add(sequence)
            sequence.last += 1
            number = _number(issued, sequence.last)
            if sequence.last != expected:
                pdf = await asyncio.to_thread(_page, booking, number, issued)
            session.add(Receipt(booking_id=booking.booking_id, number=number, issued=issued, pdf=pdf))
            session.add(Track(booking_id=booking.booking_id, milestone="receipt_issued", at=issued, note=number))
            next_job = Job(kind="recap", booking_id=booking.booking_id)
            session.add(next_job)
            await session.execute(delete(Job).where(Job.job_id == job.job_id))
        return next_job.job_id

    async def _write(self, job: Job, booking: Booking, receipt: Receipt | None) -> None:
        now = datetime.now(UTC)
        number, pdf = (receipt.number, receipt.pdf) if receipt else ("", None)
        letter = await asyncio.to_thread(self.letters.write, job.kind, booking, now, number, pdf)
        await self._send(letter)
        recipient = booking.guest_email if job.kind == "recap" else booking.hotel_email
        async with self.store.writing() as session:
            session.add(Letter(booking_id=booking.booking_id, letter=job.kind, recipient=recipient, sent=now))
            note = f"{job.kind} to {recipient}"
            session.add(Track(booking_id=booking.booking_id, milestone=TOLD[job.kind], at=now, note=note))
            await session.execute(delete(Job).where(Job.job_id == job.job_id))

    async def _send(self, letter: EmailMessage) -> None:
        await aiosmtplib.send(letter, hostname=self.smtp.hostname, port=self.smtp.port, timeout=10.0)


def _number(issued: datetime, taken: int) -> str:
    return f"{issued.year}-{taken:06}"


@cache
def _template() -> Template:
    return Template.load(TEMPLATE)


def _page(booking: Booking, number: str, issued: datetime) -> bytes:
    departure = booking.arrival + timedelta(days=booking.nights)
    what = f"{booking.room} for {booking.guests}, {booking.arrival:%d %B %Y} to {departure:%d %B %Y}"
    page = Page(
        number=number,
        issued=issued.date(),
        seller=Party(booking.hotel, (booking.hotel_address, booking.city), booking.hotel_email),
        buyer=Party(booking.guest_name, email=booking.guest_email),
        lines=(Line(what, booking.nights, booking.amount / booking.nights),),
        currency=booking.currency,
        payment_reference=booking.booking_id.hex[:8].upper(),
        payment_method=f"Card ending in {booking.card_last4}",
    )
    return render(page, _template())
