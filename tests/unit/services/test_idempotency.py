"""`@once` on two replicas of a service: one request has one effect, and an answer is its user's alone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select
from sqlalchemy.dialects.sqlite import dialect

from meristem import CallError, Code, Context, Contract, Database, Fault, Identity, Service, System, once, using
from meristem.contracts.call import Call, Handler
from meristem.keys import scoped
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.services.answers import FIND, FIND_SCOPED, STORE_SCOPED, metadata
from meristem.storage.versions import creation
from meristem.system.blueprint import Blueprint
from meristem.testing import running

tables = MetaData()
SOLD = Table("sold", tables, Column("id", Integer, primary_key=True), Column("item", String))
SECRET = b"what both of the replicas know, and nobody else"


class Declined(Fault):
    """There is no money."""


class Till(Contract, Protocol, package="once.till.v1"):
    @once(timeout=20.0)
    async def charge(self) -> int: ...


class Shop(Contract, Protocol, package="once.shop.v1"):
    @once(timeout=20.0, raises=[Declined])
    async def sell(self, item: str, marks: dict[str, int] | None = None) -> int: ...


class TillService(Till, Service, tables=tables):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def charge(self) -> int:
        async with self.database.begin() as tx:
            return int(await tx.fetch_value(insert(SOLD).values(item="charge").returning(SOLD.c.id)))


class ShopService(Shop, Service, tables=tables):
    def __init__(self, till: Till, database: Database) -> None:
        self.till = till
        self.database = database
        self.entered, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def sell(self, item: str, marks: dict[str, int] | None = None) -> int:
        self.entered.set()
        await self.open.wait()
        number = await self.till.charge() if item != "gift" else 0
        async with self.database.begin() as tx:
            await tx.execute(insert(SOLD).values(item=item))
        if item == "gold":
            raise Declined
        return number


system = System("once", services=[TillService, ShopService])


@asynccontextmanager
async def replicas(folder: Path) -> AsyncIterator[list[Assembly]]:
    """Two processes of the system, as far as their databases can tell."""
    async with AsyncExitStack() as stack:
        started = []
        for number in range(2):
            options = Options(
                database=f"sqlite:///{folder}/{{service}}.db", replica=number, secret=SECRET, environment={}
            )
            assembly = Assembly(Blueprint(system), "main", options)
            await assembly.start()
            stack.push_async_callback(assembly.stop)
            started.append(assembly)
        yield started


def asking(whose: str | None, key: str) -> Any:
    return using(Context(user=None if whose is None else Identity(whose), key=key))


def shop_of(replica: Assembly) -> ShopService:
    service: ShopService = replica.instances["shop"].service
    return service


async def sold(replica: Assembly, service: str) -> list[str]:
    database = replica.instances[service].database
    assert database is not None
    return await database.fetch_all(select(SOLD.c.item).order_by(SOLD.c.id), into=str)


@pytest.mark.parametrize("item", ["lamp", "gift", "gold"])
async def test_one_request_of_an_anonymous_caller_and_of_a_user_on_two_replicas_has_one_effect(tmp_path, item):
    async with asyncio.timeout(60), replicas(tmp_path) as both:
        for each in both:
            shop_of(each).open.clear()
        asked = []
        for each, whose in zip(both, (None, "ada"), strict=True):
            with asking(whose, "k"):
                asked.append(asyncio.ensure_future(each.client(Shop).sell(item)))
            await shop_of(each).entered.wait()
        for each in both:
            shop_of(each).open.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)

        refused = [each for each in answers if isinstance(each, CallError)]
        assert [each.code for each in refused] == [Code.ALREADY_EXISTS]
        assert len(await sold(both[0], "till")) <= 1
        assert await sold(both[0], "shop") == ([] if item == "gold" else [item])


async def test_two_users_with_one_key_on_two_replicas_are_both_served(tmp_path):
    async with asyncio.timeout(60), replicas(tmp_path) as both:
        asked = []
        for each, whose in zip(both, ("bob", "ada"), strict=True):
            with asking(whose, "k"):
                asked.append(asyncio.ensure_future(each.client(Shop).sell("lamp")))

        assert len(set(await asyncio.gather(*asked))) == 2
        assert await sold(both[0], "shop") == ["lamp", "lamp"]


async def test_an_answer_of_one_replica_is_given_again_by_another_whatever_the_order_of_a_map(tmp_path):
    async with asyncio.timeout(60), replicas(tmp_path) as (first, second):
        with asking("ada", "k"):
            answer = await first.client(Shop).sell("lamp", {"a": 1, "b": 2})
            again = await second.client(Shop).sell("lamp", {"b": 2, "a": 1})

        assert answer == again
        assert await sold(first, "shop") == ["lamp"]


async def test_a_call_that_is_handed_on_twice_is_one_call():
    """As a middleware does that repeats calls: the second time its key has been scoped already."""

    def twice(handler: Handler) -> Handler:
        async def handled(call: Call) -> Any:
            await handler(call)
            return await handler(call)

        return handled

    async with running(System("once", services=[TillService, ShopService], outgoing=[twice])) as app:
        with asking("ada", "k"):
            await app.client(Shop).sell("lamp")

        assert (await sold(app, "shop"), await sold(app, "till")) == (["lamp"], ["charge"])


@pytest.mark.parametrize("whose", [None, "bob"])
async def test_a_key_that_reads_like_one_of_somebody_elses_answers_finds_none(tmp_path, whose):
    """Scoped keys are no secret: they stand in logs, in events and with whom the service pays."""
    async with asyncio.timeout(60), replicas(tmp_path) as (replica, _):
        shop, database = replica.client(Shop), replica.instances["shop"].database
        with asking("ada", "k"):
            await shop.sell("lamp")
        assert database is not None
        [known] = await database.fetch_all(select(FIND.selected_columns.key), into=str)
        with asking(whose, known):
            await shop.sell("lamp")

        assert await sold(replica, "shop") == ["lamp"] * 2


def test_twins_are_found_by_an_index_that_holds_scoped_keys_alone():
    """Most answers are stored under the keys of sagas' steps, whose commits shall not write a page more for it."""
    connection, known = sqlite3.connect(":memory:"), dialect(paramstyle="named")
    for step in creation(metadata):
        connection.execute(str(step.compile(dialect=known)))
    for statement in (FIND_SCOPED, STORE_SCOPED):
        text = statement.compile(dialect=known)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", dict.fromkeys(text.params, "x")).fetchall()
        assert any("USING INDEX meristem_once_asked (request=? AND key>? AND key<?)" in row[3] for row in plan)
        assert not any(row[3].startswith("SCAN meristem_once") for row in plan)
    row = {"v_operation": "/a", "v_request": "r", "v_fault": None, "v_answer": b"", "v_answered": None, "v_owner": "a"}
    twins = {"operation_": "/a", "request_": "r", "low_": "", "high_": ""}
    for key in (f"{'0' * 32}:3", "order-7", scoped("shop", "/a", None, "k")):
        connection.execute(
            str(STORE_SCOPED.compile(dialect=known)), {**row, **twins, "v_answered": "now", "v_key": key}
        )
    indexed = "SELECT count(*) FROM meristem_once INDEXED BY meristem_once_asked WHERE substr(key, 33, 1) = '.'"

    assert connection.execute(indexed).fetchone() == (1,)
