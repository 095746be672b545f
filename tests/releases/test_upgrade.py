"""A database that an earlier release filled is opened by this one: migrated, and nothing is lost."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from meristem.clock import SystemClock
from meristem.context import Context, Identity, using
from meristem.errors import CallError, Code, ConfigurationError
from meristem.events.dead_letters import DeadLetters
from meristem.runtime import schema
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.sagas.administration import SagaStore
from meristem.sagas.records import SagaState
from meristem.system.blueprint import Blueprint
from meristem.system.description import migrations_of
from meristem.testing import running
from tests.releases.desk import SECRET, Desk, Ledger, SoldOut, system

BEFORE_VERSIONS = Path(__file__).with_name("before_versions.sql")
"""Left by a killed process of the last release whose tables had no versions; `leave_behind.py` tells how."""


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """The URL of the services' databases as that process left them."""
    for part in BEFORE_VERSIONS.read_text().split("-- ")[1:]:
        service, _, script = part.partition("\n")
        with sqlite3.connect(tmp_path / f"{service}.db") as connection:
            connection.executescript(script)
        connection.close()
    return f"sqlite:///{tmp_path}/{{service}}.db"


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("meristem.runtime.options.new_secret", lambda: SECRET)

    def key(text: str) -> Any:
        return using(Context(caller="tests", key=text))

    return key


async def test_nothing_is_lost_of_what_a_release_without_versions_left(kept, keyed):
    async with asyncio.timeout(60), running(system, database=kept) as app:
        desk, ledger = Desk.client(), Ledger.client()
        store = SagaStore(app.database("desk"))

        # Answers that were given are given again.
        with keyed("note-hello"):
            assert await desk.note("hello") == 1
        with keyed("sell-done"):
            assert await desk.sell("done") == "done 4"

        # Sagas go on: the one that waited, the one in the midst of a step, the one being undone, the one that slept.
        await desk.pay("chair")
        await desk.pay("slow")
        with keyed("sell-chair"):
            assert await desk.sell("chair") == "chair 5"
        with keyed("sell-slow"):
            assert await desk.sell("slow") == "slow 4"
        with keyed("sell-nothing"), pytest.raises(SoldOut):
            await desk.sell("nothing")
        with keyed("reserve-bed"):
            assert await desk.reserve("bed") == "bed 3"

        # The parked one waits for a person, who lets it go on.
        [parked] = await store.list(SagaState.PARKED)
        await store.retry(parked.id)
        await app.settled()
        assert (await store.show(parked.id)).saga.state is SagaState.FAILED

        # What was owed is delivered; what was handled already is not handled again; the dead letter is still there.
        await app.settled()
        letters = DeadLetters(app.database("desk"), SystemClock())
        assert [each.key for each in await letters.list()] == ["nonsense"]
        await letters.redrive()
        await app.settled()
        assert sorted(await ledger.entries()) == sorted(
            ["noted hello", "noted later", "noted nonsense", "strike 7", "strike 6"]
            + [f"book {item}" for item in ("done", "chair", "nothing", "riddle", "slow", "bed")]
        )
        assert await letters.list() == []


async def test_an_upgraded_database_has_the_shape_of_a_fresh_one(kept, tmp_path):
    async with running(system, database=kept), running(system, database=f"sqlite:///{tmp_path}/fresh-{{service}}.db"):
        pass

    for service in ("desk", "ledger"):
        assert shape(tmp_path / f"{service}.db") == shape(tmp_path / f"fresh-{service}.db")


def shape(file: Path) -> dict[str, Any]:
    """The framework's tables and indexes, whatever the order in which their columns came."""
    with sqlite3.connect(file) as connection:
        made = connection.execute("SELECT name, type, sql FROM sqlite_master WHERE name LIKE 'meristem%'").fetchall()
        found = {name: " ".join(sql.split()) for name, kind, sql in made if kind == "index" and sql}
        for name in (name for name, kind, _ in made if kind == "table"):
            columns = connection.execute(f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{name}')")
            found[name] = sorted(columns)
    connection.close()
    return found


async def test_an_unmigrated_database_is_refused_where_migrating_is_done_beforehand(tmp_path):
    fresh = f"sqlite:///{tmp_path}/{{service}}.db"

    def assembly(*, migrate: bool) -> Assembly:
        return Assembly(Blueprint(system), "main", Options(database=fresh, migrate=migrate, environment={}))

    with pytest.raises(ConfigurationError, match=r"^database 'ledger' lacks lease 001_tables, .*`meristem migrate`"):
        await assembly(migrate=False).start()
    for migrate in (True, False):
        started = assembly(migrate=migrate)
        await started.start()
        database = started.instances["desk"].database
        assert database is not None
        assert await schema.pending(database, migrations_of(system.services[0]), lambda: None) == []
        await started.stop()


async def test_what_an_earlier_release_stored_under_a_key_is_given_again_or_refused_and_never_done_again(kept, keyed):
    """That release stored answers without their user, and sagas with theirs; its keys were as they came."""

    def signed_in(text: str) -> Any:
        return using(Context(user=Identity("ada"), key=text))

    async with asyncio.timeout(60), running(system, database=kept) as app:
        desk, database = Desk.client(), app.database("desk")
        before = await database.fetch_all(text("SELECT id FROM notes"))
        refused = [
            (keyed("note-hello"), desk.note, "another", "was used for another request"),
            (signed_in("note-hello"), desk.note, "hello", "under an earlier release, which did not store by whom"),
            (keyed("sell-done"), desk.sell, "another", "was used for another request"),
            (signed_in("sell-done"), desk.sell, "done", "by a caller who was signed in otherwise"),
        ]
        for asking, ask, item, why in refused:
            with asking, pytest.raises(CallError, match=why) as caught:
                await ask(item)
            assert caught.value.code is Code.ALREADY_EXISTS
        assert await database.fetch_all(text("SELECT id FROM notes")) == before

        # What a signed-in user asks for otherwise is none of the anonymous saga's business.
        with signed_in("sell-done"):
            asked = asyncio.ensure_future(desk.sell("mine"))
        while not await database.fetch_all(
            text("SELECT id FROM meristem_saga WHERE state = 'waiting' AND asked <> ''")
        ):
            await asyncio.sleep(0.01)
        await desk.pay("mine")
        assert await asked == "mine 4"
