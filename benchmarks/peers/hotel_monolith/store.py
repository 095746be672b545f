"""The database of the monolith: a pool for reading, and one transaction that writes at a time.

SQLite lets one connection write; who waits in Python instead of in SQLite's busy handler waits a shorter time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hotels.rooms import catalogue
from hotels.search.folding import fold
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.peers.hotel_monolith.tables import Base, Hotel, LedgerEnd, Room


class Store:
    """Sessions that read, and sessions that write."""

    def __init__(self, path: Path) -> None:
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=10, connect_args={"timeout": 60})
        event.listen(self.engine.sync_engine, "connect", _pragmas)
        self.reading = async_sessionmaker(self.engine, expire_on_commit=False)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A session whose block is one transaction."""
        async with self._lock, self.reading() as session, session.begin():
            yield session

    async def prepare(self, hotels: int) -> None:
        """Make the tables, and fill the catalogue when it is empty."""
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with self.writing() as session:
            if await session.get(LedgerEnd, 1) is None:
                session.add(LedgerEnd(only=1, number=0, seal="0" * 64))
            if (await session.scalars(select(Hotel.hotel_id).limit(1))).first() is None:
                session.add_all(_catalogue(hotels))

    async def close(self) -> None:
        await self.engine.dispose()


def _pragmas(connection: Any, _: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _catalogue(count: int) -> list[Base]:
    made: list[Base] = []
    for hotel in catalogue.hotels(count=count, among=catalogue.cities()):
        made.append(
            Hotel(
                hotel_id=hotel.id,
                name=hotel.name,
                stars=hotel.stars,
                address=hotel.address,
                email=hotel.email,
                description=hotel.description,
                amenities=list(hotel.amenities),
                city=hotel.city.name,
                country=hotel.city.country,
            )
        )
        made += [_room(hotel, room) for room in hotel.rooms]
    return made


def _room(hotel: catalogue.Hotel, room: catalogue.RoomType) -> Room:
    return Room(
        room_id=room.id,
        hotel_id=hotel.id,
        name=room.name,
        capacity=room.capacity,
        count=room.count,
        nightly_cents=int(room.price * 100),
        currency=room.currency,
        hotel=hotel.name,
        stars=hotel.stars,
        city=hotel.city.name,
        city_key=fold(hotel.city.name),
        country=hotel.city.country,
    )
