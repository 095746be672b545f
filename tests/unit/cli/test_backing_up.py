"""`meristem backup` beside a system that runs, `backup verify`, and `meristem restore` once it has ended."""

import asyncio
import signal
from pathlib import Path

from tests.suites.nats_prefix import bus_of_its_own

TILL = """
import asyncio
from pathlib import Path
from typing import Protocol

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from meristem import Contract, Database, Event, Service, System, on, once, safe

HELD = Path(__file__).with_name("held")


class Sold(Event, package="till.v1", key="item"):
    item: str


class Till(Contract, Protocol, package="till.v1"):
    @once(timeout=60.0)
    async def sell(self, item: str) -> None: ...


class Books(Contract, Protocol, package="books.v1"):
    @safe(timeout=60.0)
    async def entries(self) -> list[str]: ...


class TillService(Till, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def sell(self, item: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Sold(item=item))


tables = MetaData()
ENTRIES = Table("entries", tables, Column("id", Integer, primary_key=True), Column("item", String(40)))


class BooksService(Books, Service, tables=tables):
    def __init__(self, database: Database) -> None:
        self.database = database

    @on(Sold)
    async def enter(self, event: Sold) -> None:
        while HELD.exists():
            await asyncio.sleep(0.01)
        await self.database.execute(insert(ENTRIES), {"item": event.item})

    async def entries(self) -> list[str]:
        return await self.database.fetch_all(select(ENTRIES.c.item).order_by(ENTRIES.c.id), into=str)


system = System("till", services=[TillService, BooksService])
"""


async def until_entered(meristem, *items: str) -> None:
    """Wait until the books have these entries, and no other ones."""
    found: object = None
    async with asyncio.timeout(60):
        while found != list(items):
            assert not isinstance(found, list) or len(found) <= len(items), found
            found = (await meristem("call", "books.entries")).json


async def test_what_was_published_before_a_backup_and_handled_after_it_is_handled_once_when_that_is_restored(
    start, meristem, project: Path
):
    """Over NATS, which knows nothing of a restore: a service goes on reading where it was."""
    (project / "till.py").write_text(TILL)
    (project / "pyproject.toml").write_text('[tool.meristem]\nsystem = "till:system"\n')
    async with bus_of_its_own() as bus:
        (project / "nats.toml").write_text(f'[resources]\nbus = "{bus}"\n')
        run = ("run", "--port", "0", "--placement", "nats.toml")
        first = await start(*run)
        await first.shows("till runs at ")
        await meristem("call", "till.sell", '{"item": "lamp"}')
        await until_entered(meristem, "lamp")
        (project / "held").touch()
        await meristem("call", "till.sell", '{"item": "chair"}')
        taken = await meristem("backup", "--to", "kept")
        (project / "held").unlink()
        await until_entered(meristem, "lamp", "chair")
        await meristem("call", "till.sell", '{"item": "table"}')
        await until_entered(meristem, "lamp", "chair", "table")
        first.process.send_signal(signal.SIGTERM)
        assert await first.ended() == 0
        restored = await meristem("restore", "kept", "--replace", "--placement", "nats.toml")
        second = await start(*run)
        await second.shows("till runs at ")
        await until_entered(meristem, "lamp", "chair", "table")  # the last of which nobody knows to have sold
        await meristem("call", "till.sell", '{"item": "shelf"}')
        await until_entered(meristem, "lamp", "chair", "table", "shelf")
        second.process.send_signal(signal.SIGTERM)
        assert await second.ended() == 0

    assert "what the broker (nats) has for services is not in it" in taken.out
    assert "they hear what came since" in restored.out


async def test_a_backup_is_taken_while_it_runs_verified_and_restored_when_it_has_ended(start, meristem, project: Path):
    running = await start("run", "--port", "0")
    await running.shows("shop runs at ")
    assert (await meristem("call", "orders.order", '{"item": "lamp"}', "--key", "once")).code == 0

    taken = await meristem("backup", "--to", "kept")
    again = await meristem("backup", "--to", "kept")
    as_json = await meristem("backup", "--to", "other", "--json")
    verified = await meristem("backup", "verify", "kept")
    early = await meristem("restore", "kept", "--replace")
    running.process.send_signal(signal.SIGTERM)
    assert await running.ended() == 0
    refused = await meristem("restore", "kept")
    restored = await meristem("restore", "kept", "--replace")
    told = await meristem("restore", "kept", "--replace", "--json")
    after = await meristem("backup", "--to", "after")
    sagas = await meristem("sagas", "list")

    assert taken.code == 0, taken.err
    assert "kept is a backup of shop as of " in taken.out
    assert "2 databases, " in taken.out
    assert "writers waited for " in taken.out
    assert (again.code, "is there already: name a new folder" in again.err) == (1, True)
    assert as_json.json["databases"]["orders"]["rows"]["meristem_saga"] == 1
    assert verified.out.startswith("kept is whole: shop as of "), verified.err
    assert (early.code, "already runs from" in early.err) == (75, True)
    assert (refused.code, "--replace sets it aside" in refused.err) == (1, True)
    assert restored.out.startswith("restored shop as of "), restored.err
    assert "set aside: " in restored.out
    assert len(told.json["set_aside"]) == 2
    assert "4 files that a restore has set aside: not in it" in after.out
    assert ".before-" not in after.out
    assert "order" in sagas.out


async def test_what_is_not_told_where_to_go_is_wrong_use(meristem):
    assert (await meristem("backup")).code == 2
    for never in ("-1", "nan", "inf"):
        assert (await meristem("backup", "--to", "kept", "--patience", never)).code == 2
    assert (await meristem("restore", "nowhere")).code == 2
    unknown = await meristem("backup", "--to", "kept", "--without", "ordres")
    assert (unknown.code, "for --without: no service 'ordres' has a database" in unknown.err) == (2, True)
