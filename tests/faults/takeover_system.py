"""What is taken over: sagas in a step, events of one key behind one another, and the run of a scheduled method.

All of them hold on until there is a file `struck`, and note in the file `trace` what runs in which process, and when.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Protocol

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, insert, select

from meristem import Contract, Database, Event, Flow, Service, System, every, on, once, operation, safe, saga

EVENTS = 100
EFFECTS = MetaData()
EFFECT = Table(
    "effect",
    EFFECTS,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("what", String(100), nullable=False),
    Column("pid", BigInteger, nullable=False),
)
HEARD = MetaData()
HEAR = Table(
    "heard",
    HEARD,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("what", String(100), nullable=False),
)


def trace(kind: str) -> None:
    """Note what runs here and now, by the clock that all processes of a machine share."""
    with Path("trace").open("a") as file:
        file.write(f"{kind} {os.getpid()} {time.monotonic()}\n")


def is_struck() -> bool:
    return Path("struck").exists()


async def struck() -> None:
    while not is_struck():
        await asyncio.sleep(0.02)


class Told(Event, package="takeover.v1", key="key"):
    key: str
    number: int


class Effect(Contract, Protocol, package="takeover.effect.v1"):
    @once(timeout=300.0)
    async def work(self, name: str) -> str: ...

    @operation
    async def tell(self, key: str, pid: int) -> bool: ...

    @safe
    async def effects(self) -> list[str]: ...


class Hear(Contract, Protocol, package="takeover.hear.v1"):
    @safe
    async def heard(self) -> list[str]: ...


class EffectService(Effect, Service, tables=EFFECTS):
    def __init__(self, database: Database) -> None:
        self.database = database

    @saga
    async def work(self, flow: Flow, name: str) -> str:
        await flow.step(self.note, f"begun {name}")
        await flow.step(self.linger, f"saga {name}")
        return name

    async def note(self, what: str) -> None:
        await self.database.execute(insert(EFFECT), {"what": what, "pid": os.getpid()})

    async def linger(self, what: str) -> None:
        trace("saga")
        await struck()
        await self.note(what)

    @every(seconds=1.0)
    async def sweep(self) -> None:
        trace("every")
        if not is_struck():
            await struck()
            await self.note("every")

    async def tell(self, key: str, pid: int) -> bool:
        """Publish many events of one key, if this is the process that shall hold them."""
        if pid != os.getpid():
            return False
        async with self.database.begin() as tx:
            for number in range(EVENTS):
                await tx.publish(Told(key=key, number=number))
        return True

    async def effects(self) -> list[str]:
        return await self.database.fetch_all(select(EFFECT.c.what + " " + EFFECT.c.pid.cast(String)), into=str)


class HearService(Hear, Service, tables=HEARD):
    def __init__(self, database: Database) -> None:
        self.database = database

    @on(Told)
    async def hear(self, event: Told) -> None:
        if not is_struck():
            await asyncio.sleep(0.1)  # so that most of them wait behind one another
        trace("event")
        async with self.database.begin() as tx:
            await tx.execute(insert(HEAR), {"what": f"{event.key} {event.number}"})

    async def heard(self) -> list[str]:
        return await self.database.fetch_all(select(HEAR.c.what).order_by(HEAR.c.id), into=str)


system = System("takeover", services=[EffectService, HearService])
