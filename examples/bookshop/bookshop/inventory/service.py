"""Gives each copy to one order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import final
from uuid import UUID

from bookshop.contracts.catalogue import BookListed
from bookshop.contracts.inventory import Inventory, OutOfStock, Reservation, ReservationExpired, Stock
from bookshop.contracts.items import Item
from bookshop.inventory import tables
from bookshop.inventory.settings import InventorySettings
from meristem import Clock, Database, Service, every, on


@final
@dataclass
class InventoryService(Inventory, Service, tables=tables.metadata):
    """What is left of each book, and the reservations that have taken the rest."""

    database: Database
    settings: InventorySettings
    clock: Clock

    async def stock(self, book_ids: list[int]) -> list[Stock]:
        known = await self.database.fetch_all(tables.STOCK, {"book_ids": book_ids}, into=Stock)
        left = {each.book_id: each for each in known}
        return [left.get(each, Stock(book_id=each, left=0)) for each in book_ids]

    async def reserve(self, order_id: UUID, items: list[Item]) -> Reservation:
        expires = self.clock.now() + timedelta(minutes=self.settings.reservation_minutes)
        async with self.database.begin() as tx:
            for item in sorted(items, key=lambda each: each.book_id):  # in one order, so that no two wait in a circle
                taken = await tx.execute(tables.TAKE, {"wanted": item.book_id, "copies": item.copies})
                if not taken.rowcount:
                    left = await tx.fetch_value(tables.LEFT, {"book_id": item.book_id})
                    raise OutOfStock(book_id=item.book_id, left=left or 0)
            tx.defer(tables.INSERT_RESERVATION, {"order_id": order_id, "state": "held", "expires": expires})
            rows = [{"order_id": order_id, "book_id": each.book_id, "copies": each.copies} for each in items]
            await tx.execute(tables.INSERT_RESERVED, rows)
        return Reservation(order_id=order_id, items=items, expires=expires)

    async def confirm(self, order_id: UUID) -> None:
        async with self.database.begin() as tx:
            kept = await tx.execute(tables.CONFIRM, {"wanted": order_id, "now": self.clock.now()})
            if not kept.rowcount:
                raise ReservationExpired(order_id=order_id)

    async def release(self, reservation: Reservation) -> None:
        async with self.database.begin() as tx:
            released = await tx.execute(tables.RELEASE, {"wanted": reservation.order_id})
            if released.rowcount:
                await self._put_back(reservation.order_id)

    async def deliver(self, item: Item) -> Stock:
        async with self.database.begin() as tx:
            known = await tx.execute(tables.ADD, {"wanted": item.book_id, "more": item.copies})
            if not known.rowcount:
                await tx.execute(tables.INSERT_STOCK, {"book_id": item.book_id, "left": item.copies})
            left: int = await tx.fetch_value(tables.LEFT, {"book_id": item.book_id})
        return Stock(book_id=item.book_id, left=left)

    @on(BookListed)
    async def listed(self, event: BookListed) -> None:
        """A book that is new comes with its first copies."""
        async with self.database.begin() as tx:
            if await tx.fetch_value(tables.LEFT, {"book_id": event.book_id}) is None:
                first = {"book_id": event.book_id, "left": self.settings.first_delivery}
                await tx.execute(tables.INSERT_STOCK, first)

    @every(seconds=5.0)
    async def expire(self) -> None:
        """Put back what nobody paid for in time."""
        async with self.database.begin() as tx:
            for order_id in await tx.fetch_all(tables.EXPIRE, {"now": self.clock.now()}, into=UUID):
                await self._put_back(order_id)

    async def _put_back(self, order_id: UUID) -> None:
        async with self.database.begin() as tx:
            for item in await tx.fetch_all(tables.RESERVED, {"order_id": order_id}, into=Item):
                tx.defer(tables.ADD, {"wanted": item.book_id, "more": item.copies})
