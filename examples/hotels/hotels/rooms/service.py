"""Gives a room to one guest at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import final
from uuid import UUID, uuid4

from hotels.contracts.money import Money
from hotels.contracts.rooms import (
    Hold,
    HoldUnknown,
    RoomDetails,
    RoomHeld,
    RoomReleased,
    Rooms,
    RoomTaken,
    RoomUnknown,
    Stay,
)
from hotels.rooms import tables
from hotels.rooms.rows import EndedHold, LockedRoom, RoomRow, Span, most_taken
from hotels.rooms.seeding import seed
from hotels.rooms.settings import RoomsSettings
from hotels.stays import check_arrival, nights_of, refused
from meristem import Clock, Database, Progress, Service, every


@final
@dataclass
class RoomsService(Rooms, Service, tables=tables.metadata):
    """Hotels, rooms and holds in one database."""

    database: Database
    settings: RoomsSettings
    clock: Clock
    progress: Progress

    async def start(self) -> None:
        await seed(self.database, self.progress, self.settings.hotels)

    async def room(self, room_id: UUID) -> RoomDetails:
        found = await self.database.fetch_one(tables.ROOM, {"room_id": room_id}, into=RoomRow)
        if found is None:
            raise RoomUnknown(room_id=room_id)
        return found.details()

    async def hold(self, stay: Stay) -> Hold:
        now = self.clock.now()
        check_arrival(stay.arrival, now.date())
        departure = stay.arrival + timedelta(days=stay.nights)
        async with self.database.begin() as tx:
            room = await tx.fetch_one(tables.LOCK_ROOM, {"wanted": stay.room_id}, into=LockedRoom)
            if room is None:
                raise RoomUnknown(room_id=stay.room_id)
            if stay.guests > room.capacity:
                raise refused("guests", f"This room is for {room.capacity} at most.")
            asked = {"room_id": stay.room_id, "arriving": stay.arrival, "leaving": departure, "now": now}
            others = await tx.fetch_all(tables.OVERLAPPING, asked, into=Span)
            if most_taken(others, nights_of(stay.arrival, stay.nights)) >= room.count:
                raise RoomTaken(room_id=stay.room_id)
            hold = Hold(
                hold_id=uuid4(),
                stay=stay,
                price=Money(amount=room.nightly * stay.nights, currency=room.currency),
                expires=now + timedelta(minutes=self.settings.hold_minutes),
            )
            tx.defer(tables.INSERT_HOLD, _row(hold))
            await tx.publish(
                RoomHeld(room_id=stay.room_id, hold_id=hold.hold_id, arrival=stay.arrival, nights=stay.nights)
            )
        return hold

    async def confirm(self, hold_id: UUID) -> None:
        wanted = {"wanted": hold_id, "now": self.clock.now()}
        async with self.database.begin() as tx:
            tx.at_commit(tables.CONFIRM_HOLD, wanted, otherwise=HoldUnknown(hold_id=hold_id))

    async def release(self, hold: Hold) -> None:
        async with self.database.begin() as tx:
            ended = await tx.fetch_one(tables.RELEASE_HOLD, {"wanted": hold.hold_id}, into=EndedHold)
            if ended is not None:
                await tx.publish(_released(ended))

    @every(seconds=5.0)
    async def expire(self) -> None:
        """Give back every room whose guest didn't pay in time."""
        async with self.database.begin() as tx:
            for ended in await tx.fetch_all(tables.EXPIRE_HOLDS, {"now": self.clock.now()}, into=EndedHold):
                await tx.publish(_released(ended))


def _row(hold: Hold) -> dict[str, object]:
    return {
        "hold_id": hold.hold_id,
        "room_id": hold.stay.room_id,
        "arrival": hold.stay.arrival,
        "departure": hold.stay.arrival + timedelta(days=hold.stay.nights),
        "guests": hold.stay.guests,
        "state": "held",
        "expires": hold.expires,
    }


def _released(ended: EndedHold) -> RoomReleased:
    nights = (ended.departure - ended.arrival).days
    return RoomReleased(room_id=ended.room_id, hold_id=ended.hold_id, arrival=ended.arrival, nights=nights)
