"""How a PostgreSQL server finds rows for the framework's own statements: by an index, however many there are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy.dialects import postgresql

from meristem.events import claim_statements, dead_letters, inbox
from meristem.events import statements as events
from meristem.runtime.schema import SCHEMAS
from meristem.sagas import forgetting
from meristem.sagas import statements as sagas
from meristem.sagas.listing import Listing
from meristem.sagas.records import SagaState
from meristem.services import answers
from meristem.storage import lease
from meristem.storage.database import Database, database_for
from tests.suites.costs import COUNTS, IN_MEMORY, statements_of
from tests.suites.postgresql import schema_of_its_own

ROWS = 20_000
ME = 1
AGO = datetime(2026, 1, 1, tzinfo=UTC)
# Few at a time: for many of so small a table, to walk through it is what a server does rightly.
GIVEN: dict[str, Any] = {
    "me": ME, "whose": "mail", "count": 5, "after": "",
    "turns": 50, "done": -1, "run": 2, "unkeyed": 100, "regardless": False,
    "of_key": "key 1", "of_subscriber": "mail", "newest": 10**9, "member_": ME, "limit_": 5, "newest_": 10**9,
    "operation_": "/o", "request_": "r5", "low_": "key", "high_": "kez", "before": AGO, "state_": "waiting",
}  # fmt: skip
LISTED = {
    "all": Listing(),
    "the next page": Listing(after=(AGO, "5")),
    "what is parked": Listing(states=(SagaState.PARKED,)),
    "of a name that few have": Listing(name="rare"),
    "by a term": Listing(terms=(("term 5",),)),
    "by one of some terms": Listing(terms=(("term 5", "term 6", "term 7"),)),
}
OF_TYPE: dict[str, Any] = {
    "varchar": "new", "text": "new", "int4": 1, "int8": 1, "float8": 1.0, "bool": False, "timestamptz": AGO,
    "bytea": b"",
}  # fmt: skip
LARGE = "meristem_(outbox|dead_letter|inbox|once|saga|saga_step|saga_search|saga_event)"

_event = "'T', 'key ' || n % 1000, '{}', n, 0"
_saga = "1, '{}', '{}', '', 0, false, 1, 1, timestamptz '2026-01-01' + n * interval '1 second', now()"
FILLING = f"""
INSERT INTO meristem_member (id, name, process, beat) VALUES (1, 'a', '', 0), (2, 'b', '', 0);
INSERT INTO meristem_outbox (event_id, subscriber, type, key, body, created, attempts, due_at)
    SELECT 'e' || n, CASE WHEN n % 500 = 0 THEN 'mail' ELSE 'away' END, {_event}, n FROM generate_series(1, {ROWS}) n;
INSERT INTO meristem_outbox (event_id, subscriber, type, key, body, created, attempts, due_at, member)
    SELECT 'h' || n, 'mail', {_event}, n, 1 + n % 2 FROM generate_series(1, 2000) n;
INSERT INTO meristem_dead_letter (event_id, subscriber, type, key, body, created, attempts)
    SELECT 'd' || n, 'away', {_event} FROM generate_series(1, 5000) n;
INSERT INTO meristem_inbox SELECT 'e' || n, '//s', 'mail', n FROM generate_series(1, {ROWS}) n;
INSERT INTO meristem_once (operation, key, request, answer, answered)
    SELECT '/o', md5(n::text) || ':0', 'r' || n, '', now() FROM generate_series(1, {ROWS}) n;
INSERT INTO meristem_saga
    (id, name, state, version, input, context, seed, horizon, cancelled, fence, attempts, created, updated)
    SELECT md5(n::text), CASE WHEN n % 9999 = 0 THEN 'rare' ELSE 'often' END,
        CASE n % 100 WHEN 0 THEN 'failed' WHEN 1 THEN 'parked' WHEN 2 THEN 'waiting' ELSE 'done' END, {_saga}
    FROM generate_series(1, {ROWS}) n;
UPDATE meristem_saga SET wake_at = '2030-01-01' WHERE state = 'waiting' AND fence = 1;
INSERT INTO meristem_saga_step
    (saga_id, position, kind, name, request, state, sequence, attempts, started, subject)
    SELECT md5(n::text), '0', CASE WHEN n % 100 = 2 THEN 'wait' ELSE 'call' END, 'T', '',
        CASE WHEN n % 100 = 2 THEN 'waiting' ELSE 'done' END, 1, 1, now(), 'nobody ' || n
    FROM generate_series(1, {ROWS}) n;
INSERT INTO meristem_saga_search SELECT md5(n::text), 'f', 'term ' || n FROM generate_series(1, {ROWS}) n;
INSERT INTO meristem_saga_event (id, type, key, body, received)
    SELECT n, 'T', 'k' || n, '{{}}', now() FROM generate_series(1, {ROWS}) n;
"""


@pytest.fixture
async def server() -> AsyncIterator[tuple[Database, asyncpg.Connection]]:
    """The framework's tables, filled with what no statement asks for, and a connection that sees them."""
    async with schema_of_its_own() as url:
        database = database_for(url, name="test")
        await database.start()
        await database.upgrade(SCHEMAS)
        address, _, schema = url.partition("?schema=")
        connection = await asyncpg.connect(address, server_settings={"search_path": schema})
        await connection.execute(FILLING)
        for table in [each for one in SCHEMAS for each in one.tables.tables]:
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        yield database, connection
        await connection.close()
        await database.stop()


async def plan_of(database: Database, connection: asyncpg.Connection, statement: Any) -> str:
    """The server's plan, as it makes it for values that are given, or of the parameter's type; nothing is run."""
    binds = statement.compile(dialect=postgresql.dialect()).binds.values()
    values = {each.key: GIVEN.get(each.key) for each in binds if each.required}
    step = database._statements.prepare(statement, values).step(values)
    prepared = await connection.prepare(f"EXPLAIN {step.text}")
    types = [each.name for each in prepared.get_parameters()]
    given = [
        value if isinstance(value, type(OF_TYPE[name])) else OF_TYPE[name]  # two statements may give a name two types
        for name, value in zip(types, step.parameters, strict=True)
    ]
    return "\n".join(row[0] for row in await prepared.fetch(*given))


async def test_no_statement_of_the_framework_walks_through_a_table_that_grows(server):
    database, connection = server
    statements = statements_of(events, claim_statements, sagas, answers, inbox, dead_letters, forgetting, lease)
    statements |= {f"sagas list {name}": each.statement().limit(101) for name, each in LISTED.items()}
    walks = {}
    for name in statements.keys() - COUNTS - IN_MEMORY:
        plan = await plan_of(database, connection, statements[name])
        if re.search(rf"Seq Scan on {LARGE}\b", plan):
            walks[name] = plan
    few = await plan_of(database, connection, statements["sagas list of a name that few have"])

    assert not walks, "\n\n".join(f"{name}\n{plan}" for name, plan in walks.items())
    assert re.search(r"Index Cond: .*name\)::text = 'rare'", few), few  # no row of another name is read
