"""Booking: hold and record in one transaction, the bank, then payment, ledger and what is left to do in another.

A booking that a crash left between the two is undone at the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import HTTPException
from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.peers.hotel_monolith.shapes import BookingRequest, BookingShape, Money, TrackShape
from benchmarks.peers.hotel_monolith.store import Store
from benchmarks.peers.hotel_monolith.tables import (
    Answer,
    Booking,
    Hold,
    Hotel,
    Job,
    LedgerEnd,
    LedgerLine,
    Night,
    Payment,
    Room,
    Track,
    User,
)
from benchmarks.peers.hotel_monolith.worker import Worker

HOLD = timedelta(minutes=10)


class Bookings:
    """Makes bookings, each once per idempotency key."""

    def __init__(self, store: Store, http: httpx.AsyncClient, bank: str, worker: Worker) -> None:
        self.store = store
        self.http = http
        self.bank = bank
        self.worker = worker

    async def book(self, request: BookingRequest, user: User, key: str) -> dict[str, Any]:
        """The booking; the first answer again when the key is known."""
        fingerprint = hashlib.sha256(f"{user.user_id} {request.model_dump_json()}".encode()).hexdigest()
        async with self.store.reading() as session:
            if (known := await session.get(Answer, key)) is not None:
                return _repeat(known, fingerprint)
            room = await session.get(Room, request.room_id)
            hotel = None if room is None else await session.get(Hotel, room.hotel_id)
        if room is None or hotel is None:
            raise HTTPException(404, "There is no such room.")
        if request.guests > room.capacity:
            raise HTTPException(422, f"This room is for {room.capacity} at most.")
        card = await self._post("/tokens", request.card.model_dump(), None)
        booking = await self._hold(request, user, room, hotel, card["last4"], key, fingerprint)
        try:
            charge = await self._charge(booking, card["token"])
        except HTTPException:
            await self._undo(booking)
            raise
        return await self._confirm(booking, charge["id"], key)

    async def _hold(
        self, request: BookingRequest, user: User, room: Room, hotel: Hotel, last4: str, key: str, fingerprint: str
    ) -> Booking:
        now = datetime.now(UTC)
        departure = request.arrival + timedelta(days=request.nights)
        nightly = Decimal(room.nightly_cents).scaleb(-2)
        booking = Booking(
            booking_id=uuid4(),
            user_id=user.user_id,
            hold_id=uuid4(),
            status="pending",
            hotel=hotel.name,
            hotel_address=hotel.address,
            hotel_email=hotel.email,
            city=hotel.city,
            room=room.name,
            room_id=room.room_id,
            arrival=request.arrival,
            nights=request.nights,
            guests=request.guests,
            amount=nightly * request.nights,
            currency=room.currency,
            guest_name=user.name,
            guest_email=user.email,
            card_last4=last4,
            created=now,
        )
        async with self.store.writing() as session:
            await session.execute(update(Room).where(Room.room_id == room.room_id).values(version=Room.version + 1))
            if await _most_taken(session, room.room_id, request.arrival, departure) >= room.count:
                raise HTTPException(409, "The last room for these nights has just been taken.")
            hold = Hold(
                hold_id=booking.hold_id,
                room_id=room.room_id,
                arrival=request.arrival,
                departure=departure,
                guests=request.guests,
                state="held",
                expires=now + HOLD,
            )
            session.add_all([hold, booking])
            session.add(Answer(key=key, request=fingerprint, booking_id=booking.booking_id, body=None))
            await session.flush()
            session.add_all([_track(booking, "requested"), _track(booking, "held")])
            await count_nights(session, booking, 1)
        return booking

    async def _charge(self, booking: Booking, token: str) -> dict[str, Any]:
        order = {
            "token": token,
            "amount": f"{booking.amount:.2f}",
            "currency": booking.currency,
            "reference": str(booking.booking_id),
        }
        return await self._post("/charges", order, f"charge-{booking.booking_id}")

    async def _confirm(self, booking: Booking, reference: str, key: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        async with self.store.writing() as session:
            moved = update(Booking).where(Booking.booking_id == booking.booking_id).values(status="confirmed")
            await session.execute(moved)
            await session.execute(update(Hold).where(Hold.hold_id == booking.hold_id).values(state="confirmed"))
            session.add(
                Payment(
                    payment_id=uuid4(),
                    booking_id=booking.booking_id,
                    amount=booking.amount,
                    currency=booking.currency,
                    bank_reference=reference,
                    last4=booking.card_last4,
                    taken=now,
                )
            )
            session.add(await _ledger_line(session, booking, reference, now))
            session.add_all([_track(booking, "paid"), _track(booking, "confirmed")])
            jobs = [Job(kind=kind, booking_id=booking.booking_id) for kind in ("receipt", "reservation")]
            session.add_all(jobs)
            await session.flush()
            tracking = list(await session.scalars(select(Track).where(Track.booking_id == booking.booking_id)))
            body = _shape(booking, tracking)
            await session.execute(update(Answer).where(Answer.key == key).values(body=body))
        self.worker.give([job.job_id for job in jobs])
        return body

    async def _undo(self, booking: Booking) -> None:
        async with self.store.writing() as session:
            await undo(session, booking)

    async def recover(self) -> None:
        """Undo what a crash left half done: money goes back, the room is free again."""
        async with self.store.reading() as session:
            pending = list(await session.scalars(select(Booking).where(Booking.status == "pending")))
        for booking in pending:
            found = await self.http.get(f"{self.bank}/charges", params={"reference": str(booking.booking_id)})
            for charge in found.raise_for_status().json():
                await self._post(f"/charges/{charge['id']}/refunds", {}, f"refund-{booking.booking_id}")
            await self._undo(booking)

    async def _post(self, path: str, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        for attempt in range(3):
            try:
                answer = await self.http.post(self.bank + path, json=body, headers=headers)
            except httpx.HTTPError:
                if attempt == 2:
                    raise HTTPException(503, "The bank cannot be reached.") from None
                await asyncio.sleep(0.1 * 2**attempt)
                continue
            if answer.status_code < 500:
                break
        if answer.status_code in {402, 422}:
            raise HTTPException(answer.status_code, answer.json().get("detail", ""))
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


async def _most_taken(session: AsyncSession, room_id: UUID, arrival: date, departure: date) -> int:
    overlapping = select(Hold.arrival, Hold.departure).where(
        Hold.room_id == room_id,
        Hold.departure > arrival,
        Hold.arrival < departure,
        Hold.state.in_(("held", "confirmed")),
    )
    spans = (await session.execute(overlapping)).all()
    nights = [arrival + timedelta(days=each) for each in range((departure - arrival).days)]
    return max(sum(span.arrival <= night < span.departure for span in spans) for night in nights)


async def count_nights(session: AsyncSession, booking: Booking, change: int) -> None:
    """Keep the count of taken rooms by night."""
    nights = [
        {"room_id": booking.room_id, "night": booking.arrival + timedelta(days=each), "taken": change}
        for each in range(booking.nights)
    ]
    added = insert(Night).values(nights)
    merged = added.on_conflict_do_update(
        index_elements=["room_id", "night"], set_={"taken": Night.taken + added.excluded.taken}
    )
    await session.execute(merged)


async def undo(session: AsyncSession, booking: Booking) -> None:
    """Give the room back and write down that the booking failed."""
    moved = update(Booking).where(Booking.booking_id == booking.booking_id, Booking.status == "pending")
    await session.execute(moved.values(status="failed"))
    await session.execute(update(Hold).where(Hold.hold_id == booking.hold_id).values(state="released"))
    await count_nights(session, booking, -1)
    session.add_all([_track(booking, "released"), _track(booking, "failed")])


async def _ledger_line(session: AsyncSession, booking: Booking, reference: str, now: datetime) -> LedgerLine:
    end = await session.get_one(LedgerEnd, 1)
    end.number += 1
    parts = [end.seal, str(end.number), "charge", str(booking.booking_id), f"{booking.amount:.2f}", reference]
    end.seal = hashlib.sha256("\n".join([*parts, now.isoformat()]).encode()).hexdigest()
    return LedgerLine(
        number=end.number,
        booking_id=booking.booking_id,
        amount=booking.amount,
        bank_reference=reference,
        entered=now,
        seal=end.seal,
    )


def _track(booking: Booking, milestone: str) -> Track:
    return Track(booking_id=booking.booking_id, milestone=milestone, at=datetime.now(UTC), note="")


def _shape(booking: Booking, tracking: list[Track]) -> dict[str, Any]:
    fields = {name: getattr(booking, name) for name in BookingShape.model_fields if hasattr(booking, name)}
    fields |= {"status": "confirmed", "price": Money(amount=booking.amount, currency=booking.currency)}
    lines = [TrackShape(milestone=each.milestone, at=each.at.isoformat(), note=each.note) for each in tracking]
    return BookingShape(**fields, tracking=lines).model_dump(mode="json")


def _repeat(known: Answer, fingerprint: str) -> dict[str, Any]:
    if known.request != fingerprint:
        raise HTTPException(409, "This idempotency key was used for another request.")
    if known.body is None:
        raise HTTPException(409, "The first request with this key is still being worked on.")
    return known.body
