"""What the framework's own statements cost as its tables grow: what they answer with, and not what is there."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy import DateTime, Integer, create_engine
from sqlalchemy.dialects import sqlite

from meristem.events import claim_statements, dead_letters, inbox
from meristem.events import statements as events
from meristem.runtime.schema import SCHEMAS
from meristem.sagas import forgetting
from meristem.sagas import statements as sagas
from meristem.services import answers
from meristem.storage import lease
from tests.suites.costs import COUNTS, IN_MEMORY, statements_of

SMALL, LARGE = 600, 6000  # a piece of 500 is the same of both
ME, OTHER = 1, 2
AGO, LATER = "2026-01-01 00:00:00.000000", "2030-01-01 00:00:00.000000"
DIALECT = sqlite.dialect(paramstyle="named")
OWN = statements_of(events, claim_statements, sagas, answers, inbox, dead_letters, forgetting, lease)
del OWN["events.CLAIM_SIDE_BY_SIDE"]  # SQLite has no such writers
del OWN["events.NOTE"]  # an insert, most of whose columns come with its values


def filled(rows: int) -> sqlite3.Connection:
    """The framework's tables with so many rows of each kind, most of which no statement asks for."""
    engine = create_engine("sqlite://")
    for schema in SCHEMAS:
        schema.tables.create_all(engine)
    connection = engine.raw_connection().driver_connection
    assert isinstance(connection, sqlite3.Connection)

    def add(table: str, *, count: int = rows, **columns: str) -> None:
        values = ", ".join(columns.values())
        connection.execute(
            f"WITH RECURSIVE each(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM each WHERE n < {count}) "
            f"INSERT INTO meristem_{table} ({', '.join(columns)}) SELECT {values} FROM each"
        )

    event = {"subscriber": "'mail'", "type": "'T'", "body": "'{}'", "created": "0", "attempts": "0"}
    owed = event | {"due_at": "n"}
    add("member", count=2, id="n", name="n", process="''", beat="0")
    add("outbox", event_id="'free ' || n", key=f"'key ' || (n % {rows // 10})", **owed)
    add("outbox", event_id="'hot ' || n", key="'held elsewhere'", **owed)
    add("outbox", count=1, event_id="'elsewhere'", key="'held elsewhere'", member=str(OTHER), **owed)
    add("outbox", event_id="'mine ' || n", key="'mine ' || (n % 7)", member=str(ME), **owed)
    add("outbox", event_id="'late ' || n", key="'late ' || n", member=str(ME), error="'away'", **owed)
    add("outbox", event_id="'theirs ' || n", key="'theirs ' || (n % 7)", member=str(OTHER), **owed)
    add("dead_letter", event_id="'dead ' || n", key="'k'", error="'refused'", **event)
    add("inbox", event_id="'event ' || n", source="'//s/p'", subscriber="'mail'", handled_at=f"n - {rows}")
    once = {"operation": "'/o'", "request": "'r' || n", "answer": "x'00'", "answered": f"'{LATER}'"}
    add("once", key="'key ' || n", **once)
    saga = {"name": "'s' || (n % 3)", "version": "1", "input": "'{}'", "context": "'{}'", "seed": "''", "horizon": "0"}
    saga |= {"cancelled": "0", "fence": "1", "attempts": "1", "created": f"'{AGO}' || n", "updated": f"'{LATER}'"}
    for state in ("done", "failed", "waiting", "parked"):
        add("saga", id=f"'{state} ' || n", state=f"'{state}'", **saga)
    add("saga", id="'sleeping ' || n", state="'waiting'", wake_at=f"'{LATER}'", **saga)
    add("saga", count=20, id="'running ' || n", state="'running'", member=str(ME), **saga)
    step = {"position": "'0'", "request": "''", "sequence": "0", "attempts": "0", "started": f"'{AGO}'"}
    add("saga_step", saga_id="'waiting ' || n", kind="'wait'", name="'T'", state="'waiting'", subject="n", **step)
    add("saga_step", saga_id="'done ' || n", kind="'call'", name="'c'", state="'done'", **step)
    add("saga_event", type="'T'", key="'nobody ' || n", body="'{}'", received=f"'{AGO}'")
    add("duty", count=3, name="n", member=str(ME))
    return connection


GIVEN: dict[str, Any] = {
    "me": ME, "whose": "mail", "count": 100, "after": "", "turns": 50, "done": -1, "run": 2, "unkeyed": 100,
    "of_key": "key 1", "of_subscriber": "mail", "event": "mine 5", "newest": 10**9, "member_": ME, "limit_": 100,
    "id_": "waiting 5", "fence_": 1, "state_": "waiting", "now_": AGO, "newest_": 10**9, "before": AGO,
    "operation_": "/o", "key_": "key 5", "sent_": "key 5", "request_": "r5", "low_": "key", "high_": "kez",
}  # fmt: skip


def run(connection: sqlite3.Connection, statement: Any, *, plan: bool = False) -> tuple[int, list[str]]:
    """Tens of steps of SQLite's machine, or the plan; nothing of it stays."""
    compiled = statement.compile(dialect=DIALECT)
    values = dict.fromkeys(compiled.binds) | compiled.construct_params(_check=False)
    for name, bind in compiled.binds.items():
        if bind.key == "id" and compiled.isinsert:
            values[name] = None  # the database gives it
        elif bind.key in GIVEN:
            values[name] = GIVEN[bind.key]
        elif values[name] is None:
            values[name] = 1 if isinstance(bind.type, Integer) else AGO if isinstance(bind.type, DateTime) else "new"
    text: Any = compiled
    if compiled.post_compile_params:
        text = compiled.construct_expanded_state(values, escape_names=False)
        values = dict(text.parameters)
        text = text.statement
    tens = 0

    def count() -> int:
        nonlocal tens
        tens += 1
        return 0

    connection.execute("SAVEPOINT before_it")
    connection.set_progress_handler(None if plan else count, 10)
    text = f"EXPLAIN QUERY PLAN {text}" if plan else str(text)
    rows = connection.execute(text, values).fetchall()
    connection.set_progress_handler(None, 0)
    connection.execute("ROLLBACK TO before_it")
    return tens, [row[3] for row in rows] if plan else []


@pytest.fixture(scope="module")
def tables() -> tuple[sqlite3.Connection, sqlite3.Connection]:
    return filled(SMALL), filled(LARGE)


@pytest.mark.parametrize("name", sorted(OWN.keys() - COUNTS - IN_MEMORY))
def test_a_statement_costs_the_same_however_many_rows_there_are(name: str, tables: Any):
    small, large = (run(each, OWN[name])[0] for each in tables)

    assert large <= 1.3 * small + 15


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_what_counts_reads_an_index_and_no_row(name: str, tables: Any):
    for step in run(tables[1], OWN[name], plan=True)[1]:
        if step.startswith("SCAN meristem"):
            assert "COVERING INDEX" in step
