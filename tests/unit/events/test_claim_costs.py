"""What relays ask of a PostgreSQL server costs what it brings: not what waits, nor what it brings for each replica.

The tables are as in a service whose events come and go: no statistics of them, and dead rows in every index.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from meristem.events import claim_statements, statements
from meristem.events.outbox import _Seen
from meristem.events.tables import SCHEMA
from meristem.storage.database import Database, database_for
from meristem.storage.lease_tables import SCHEMA as LEASE
from tests.suites.postgresql import schema_of_its_own

ME, KEYS, CLAIMED = 3, 64, 128
FILL = """
INSERT INTO meristem_member (name, process, beat) SELECT 'm' || n, 'p', 0 FROM generate_series(1, 32) n;
INSERT INTO meristem_outbox (event_id, subscriber, type, key, body, created, attempts, due_at)
    SELECT 'event ' || n, 'billing', 't', 'guest ' || n % 10000, repeat('x', 400), 0, 0, 0
    FROM generate_series(1, 20000) n;
UPDATE meristem_outbox SET member = 1 + seq % 32 WHERE seq % 5 = 0;
UPDATE meristem_outbox SET crashes = 1 WHERE seq % 10 = 0;
"""


@pytest.fixture
async def server() -> AsyncIterator[tuple[Database, asyncpg.Connection]]:
    """A backlog of 20,000 rows, of which 32 replicas hold a fifth."""
    async with schema_of_its_own() as url:
        database = database_for(url)
        await database.start()
        await database.upgrade([LEASE, SCHEMA])
        address, _, schema = url.partition("?schema=")
        connection = await asyncpg.connect(address, server_settings={"search_path": schema})
        await connection.execute("ALTER TABLE meristem_outbox SET (autovacuum_enabled = off)")
        await connection.execute(FILL)
        yield database, connection
        await connection.close()
        await database.stop()


async def run(
    database: Database, connection: asyncpg.Connection, statement: Any, values: dict[str, Any]
) -> tuple[int, int]:
    """How many pages of its tables a statement reads, and how many rows it gives; it is undone."""
    step = database._statements.prepare(statement, values).step(values)
    transaction = connection.transaction()
    await transaction.start()
    try:
        told = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {step.text}", *step.parameters)
    finally:
        await transaction.rollback()
    [plan] = json.loads(told)
    return plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"], plan["Plan"]["Actual Rows"]


async def test_a_claim_reads_what_it_takes(server):
    which = {"whose": "billing", "after": "guest 3", "turns": KEYS, "run": 10, "unkeyed": 500}

    pages, rows = await run(
        *server, claim_statements.CLAIM_SIDE_BY_SIDE, which | {"me": ME, "done": 0, "regardless": False}
    )

    assert rows > KEYS
    assert pages < 40 * rows


async def test_a_claim_of_when_the_table_was_empty_does_not_read_all_of_a_full_one(server):
    database, connection = server
    which = {"whose": "billing", "after": "guest 3", "turns": KEYS, "run": 10, "unkeyed": 500}
    values = which | {"me": ME, "done": 0, "regardless": False}
    rows = "SELECT * FROM meristem_outbox"
    await connection.execute(f"CREATE TEMPORARY TABLE kept AS {rows}; DELETE FROM meristem_outbox")
    # What a transaction of anybody else on the server may still see stays in the table: then it is not empty.
    for _ in range(100):
        await connection.execute("VACUUM (ANALYZE) meristem_outbox")
        if not await connection.fetchval("SELECT pg_relation_size('meristem_outbox')"):
            break
        await asyncio.sleep(0.2)
    else:
        pytest.skip("a transaction of somebody else has been open on this server for 20 s, so nothing is ever empty")

    async def claim() -> int:
        async with database.unit() as unit:
            found = unit.fetch_at_commit(claim_statements.CLAIM_SIDE_BY_SIDE, values, into=_Seen)
        return len(found)

    for _ in range(8):  # a server keeps a plan after five
        await claim()
    await connection.execute("INSERT INTO meristem_outbox TABLE kept")
    async with asyncio.timeout(60):  # with such a plan it takes minutes
        assert await claim() > KEYS


async def test_an_acknowledged_row_is_found_by_its_name(server):
    name = {"event": "event 10", "of_subscriber": "billing", "of_key": "guest 10"}

    mine, _ = await run(*server, statements.DROP, name | {"me": 1 + 10 % 32})
    elsewhere, _ = await run(*server, statements.REMOVE, name)

    assert mine < 12
    assert elsewhere < 4 * 32


async def test_whether_the_dead_hold_rows_is_asked_of_the_numbers_between_those_of_the_living(server):
    pages, dead = await run(*server, claim_statements.DEAD_HOLDER, {})

    assert dead == 0
    assert pages < 8 * 32
