"""Keeps carts: every change is one transaction that gives the cart its next version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import final

from bookshop.carts import tables
from bookshop.contracts.carts import Cart, CartChanged, CartFull, Carts
from bookshop.contracts.catalogue import BookUnknown, Catalogue
from bookshop.contracts.items import MOST_COPIES, Item
from meristem import CallError, Clock, Code, Database, IntegrityViolation, Service, current, every

MOST_BOOKS = 50
FORGOTTEN = timedelta(days=60)  # a visitor's cart that was not touched for so long


@final
@dataclass
class CartsService(Carts, Service, tables=tables.metadata):
    """Carts by their owner."""

    catalogue: Catalogue
    database: Database
    clock: Clock

    async def cart(self, visitor: str = "") -> Cart:
        return await self._cart(_owner(visitor))

    async def add(self, book_id: int, copies: int = 1, visitor: str = "") -> Cart:
        owner = _owner(visitor)
        await self._check(book_id)
        async with self.database.begin():
            version = await self._touch(owner)
            held = await self._copies(owner)
            await self._set(owner, held, book_id, held.get(book_id, 0) + copies)
            return await self._cart(owner, version)

    async def put(self, book_id: int, copies: int, visitor: str = "") -> Cart:
        owner = _owner(visitor)
        if copies:
            await self._check(book_id)
        async with self.database.begin():
            held = await self._copies(owner)
            if held.get(book_id, 0) == copies:  # a repetition changes no version either
                return await self._cart(owner)
            version = await self._touch(owner)
            await self._set(owner, await self._copies(owner), book_id, copies)
            return await self._cart(owner, version)

    async def merge(self, visitor: str) -> Cart:
        mine, theirs = _owner(""), _visitor(visitor)
        async with self.database.begin() as tx:
            left = await tx.fetch_all(tables.LINES, {"owner": theirs}, into=Item)
            if not left:
                return await self._cart(mine)
            await self._touch(theirs)
            await tx.execute(tables.EMPTY, {"owner": theirs})
            return await self._fill(mine, left)

    async def take(self, version: int) -> Cart:
        owner = _owner("")
        async with self.database.begin() as tx:
            seen = {"whose": owner, "seen": version, "now": self.clock.now()}
            if await tx.fetch_value(tables.TOUCH_AS_SEEN, seen) is None:
                raise CartChanged(version=(await self._cart(owner)).version)
            taken = await self._cart(owner, version)
            await tx.execute(tables.EMPTY, {"owner": owner})
        return taken

    async def put_back(self, cart: Cart) -> None:
        await self._fill(_owner(""), cart.items)

    @every(seconds=3600.0)
    async def forget(self) -> None:
        """Drop the carts of visitors who never came back."""
        async with self.database.begin() as tx:
            forgotten = {"before": self.clock.now() - FORGOTTEN}
            await tx.execute(tables.FORGET_LINES, forgotten)
            await tx.execute(tables.FORGET_CARTS, forgotten)

    async def _check(self, book_id: int) -> None:
        if not await self.catalogue.books([book_id]):
            raise BookUnknown(book_id=book_id)

    async def _cart(self, owner: str, version: int | None = None) -> Cart:
        if version is None:
            version = await self.database.fetch_value(tables.VERSION, {"owner": owner}) or 0
        return Cart(items=await self.database.fetch_all(tables.LINES, {"owner": owner}, into=Item), version=version)

    async def _copies(self, owner: str) -> dict[int, int]:
        found = await self.database.fetch_all(tables.LINES, {"owner": owner}, into=Item)
        return {item.book_id: item.copies for item in found}

    async def _touch(self, owner: str) -> int:
        """The cart's next version; from here on it changes for nobody else."""
        async with self.database.begin() as tx:
            now = self.clock.now()
            version: int | None = await tx.fetch_value(tables.TOUCH, {"whose": owner, "now": now})
            if version is None and await self._begin(owner):
                version = 1
            elif version is None:  # another tab has begun the cart meanwhile, which a database server lets it
                version = await tx.fetch_value(tables.TOUCH, {"whose": owner, "now": now})
            assert version is not None
            return version

    async def _begin(self, owner: str) -> bool:
        """Whether there is a cart now that was none before."""
        try:
            async with self.database.begin() as tx:
                await tx.execute(tables.INSERT_CART, {"owner": owner, "version": 1, "touched": self.clock.now()})
        except IntegrityViolation:
            return False
        return True

    async def _set(self, owner: str, held: dict[int, int], book_id: int, copies: int) -> None:
        if copies > MOST_COPIES or (book_id not in held and len(held) >= MOST_BOOKS):
            raise CartFull(most_copies=MOST_COPIES, most_books=MOST_BOOKS)
        async with self.database.begin() as tx:
            if not copies:
                await tx.execute(tables.TAKE_OUT, {"owner": owner, "book_id": book_id})
            elif book_id in held:
                await tx.execute(tables.SET_COPIES, {"whose": owner, "wanted": book_id, "count": copies})
            else:
                await tx.execute(tables.INSERT_LINE, {"owner": owner, "book_id": book_id, "copies": copies})

    async def _fill(self, owner: str, items: list[Item]) -> Cart:
        """Add what fits; of a book that is there already, as many copies as the larger number says."""
        async with self.database.begin():
            version = await self._touch(owner)
            held = await self._copies(owner)
            for item in items:
                more = item.copies > held.get(item.book_id, 0)
                if more and (item.book_id in held or len(held) < MOST_BOOKS):
                    await self._set(owner, held, item.book_id, item.copies)
                    held[item.book_id] = item.copies
            return await self._cart(owner, version)


def _owner(visitor: str) -> str:
    """Whose cart the call that runs now is about."""
    identity = current().user
    if identity is not None:
        return f"customer {identity.subject}"
    return _visitor(visitor)


def _visitor(visitor: str) -> str:
    """Who reads the table learns nobody's text, and so can't shop as them."""
    if not visitor:
        raise CallError(Code.UNAUTHENTICATED, "sign in, or say whose cart it is by `visitor`", may_have_happened=False)
    return f"visitor {hashlib.sha256(visitor.encode()).hexdigest()}"
