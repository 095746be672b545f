"""A paper that says words, as events: the publisher of systems that the command runs in processes."""

import time
from typing import Protocol

from meristem import Contract, Database, Event, Service, operation, safe


class Said(Event, package="news.v1", key="word"):
    word: str


class Paper(Contract, Protocol, package="news.v1"):
    @operation(http="POST /say")
    async def say(self, word: str) -> None: ...

    @safe(http="POST /think", timeout=60.0)
    async def think(self, seconds: float) -> None: ...


class PaperService(Paper, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def say(self, word: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Said(word=word))

    async def think(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - it holds the event loop
