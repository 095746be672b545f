"""What the outbox's statements cost as it fills."""

from __future__ import annotations

import sqlite3

from sqlalchemy import create_engine
from sqlalchemy.dialects import sqlite

from meristem.events import statements
from meristem.events.tables import METADATA, PENDING
from meristem.storage.lease import SCHEMA as LEASE

ROWS, HELD = 3000, 1000
ADD = (
    "INSERT INTO meristem_outbox (event_id, subscriber, type, key, body, created, attempts, due_at, state, member) "
    "VALUES (?, 'mail', 'T', ?, '{}', 0, 0, 0, ?, ?)"
)


def steps_of_a_claim(keys: int) -> int:
    """Hundreds of steps of SQLite's machine for the next hundred rows, a third of all being in memory already."""
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    LEASE.tables.create_all(engine)
    connection = engine.raw_connection().driver_connection
    assert isinstance(connection, sqlite3.Connection)
    rows = [(str(each), f"key {each % keys}", PENDING, 1 if each < HELD else None) for each in range(ROWS)]
    connection.executemany(ADD, rows)
    connection.execute("INSERT INTO meristem_member VALUES (1, 'me', '', 0)")
    hundreds = 0

    def count() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    claim = statements.CLAIMABLE.compile(dialect=sqlite.dialect(paramstyle="named"))
    connection.set_progress_handler(count, 100)
    found = connection.execute(str(claim), {**claim.params, "whose": "mail", "me": 1, "count": 100})
    assert len(found.fetchall()) == 100
    engine.dispose()
    return hundreds


def test_a_relay_that_is_alone_reads_what_is_held_and_what_it_claims_and_no_earlier_rows_of_each_key():
    assert steps_of_a_claim(keys=2) < HELD + 100
