"""A system that works in one process, by means that end at the process."""

import asyncio
from contextvars import ContextVar
from typing import Protocol

from meristem import Contract, Database, Event, Fault, Service, System, on, operation, safe

SEEN: list[str] = []
PRICES = {"lamp": {"cents": 100}}
BASKETS: list[list[str]] = []
HINTS: dict[str, str] = {}
LOCALE = ContextVar("locale", default="en")


class Refused(Fault):
    """The shop is closed."""

    hint: str | None = None


class Sold(Event, package="plant.v1"):
    article: str


class Noted(Event, package="plant.v1"):
    article: str
    hint: str


class Left(Contract, Protocol, package="plant.v1"):
    @operation
    async def count(self) -> int: ...
    @safe
    async def prices(self) -> dict[str, int]: ...
    @operation
    async def keep(self, articles: list[str]) -> None: ...
    @safe
    async def kept(self) -> list[str]: ...
    @operation(raises=[Refused])
    async def refuse(self, article: str) -> None: ...
    @operation
    async def sell(self, article: str) -> None: ...
    @operation
    async def note(self, article: str) -> None: ...
    @operation
    async def put(self, text: str) -> None: ...
    @operation
    async def look(self) -> str: ...
    @safe
    async def asked(self) -> int: ...
    @safe
    async def speak(self) -> str: ...


class Right(Contract, Protocol, package="plant.v1"):
    @operation
    async def count(self) -> int: ...
    @operation
    async def discount(self) -> None: ...
    @operation
    async def spoil(self) -> None: ...
    @operation
    async def advise(self, article: str) -> None: ...
    @safe
    async def locale(self) -> str: ...


class LeftService(Left, Service):
    def __init__(self, right: Right, database: Database) -> None:
        self.right, self.database = right, database
        self.text, self.questions = "", 0

    async def count(self) -> int:
        SEEN.append("left")
        return len(SEEN)

    async def prices(self) -> dict[str, int]:
        return PRICES["lamp"]

    async def keep(self, articles: list[str]) -> None:
        BASKETS.append(articles)

    async def kept(self) -> list[str]:
        return BASKETS[-1]

    async def refuse(self, article: str) -> None:
        raise Refused(hint=HINTS.get(article))

    async def sell(self, article: str) -> None:
        async with self.database.begin() as tx:
            if article in HINTS:
                await tx.publish(Sold(article=article))

    async def note(self, article: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Noted(article=article, hint=HINTS.get(article, "")))

    async def put(self, text: str) -> None:
        await self.right.locale()
        self.text = text

    async def look(self) -> str:
        return self.text

    async def asked(self) -> int:
        self.questions += 1
        return self.questions

    async def speak(self) -> str:
        LOCALE.set("pt")
        return await self.right.locale()


class RightService(Right, Service):
    async def count(self) -> int:
        SEEN.append("right")
        return len(SEEN)

    async def discount(self) -> None:
        PRICES["lamp"]["cents"] = 90

    async def spoil(self) -> None:
        for each in BASKETS:
            each.append("dust")

    async def advise(self, article: str) -> None:
        HINTS[article] = "come back on Monday"

    async def locale(self) -> str:
        return LOCALE.get()

    @on(Sold)
    async def hear(self, event: Sold) -> None:
        await asyncio.sleep(0)


system = System("plant", services=[LeftService, RightService])
