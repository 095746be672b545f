"""Fills the databases of the growth benchmark: copies of rows that a run left, straight into the tables.

python -m benchmarks.growth_filling URL --kind finished --first 0 --last 1000000
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
from sqlalchemy import Table, insert, select

from meristem import CallError, Code
from meristem.clock import SystemClock
from meristem.events.tables import INBOX, OUTBOX
from meristem.sagas.failures import describe, write
from meristem.sagas.tables import SAGAS, STEPS
from meristem.services.answers import ANSWERS
from meristem.storage.database import Database, database_for

Row: TypeAlias = dict[str, Any]
Write: TypeAlias = Callable[[Database, Table, Iterator[Row]], Awaitable[None]]
NOW = SystemClock().now()
CHUNK = 5000
DECLINED = write(describe(CallError(Code.FAILED_PRECONDITION, "declined")))
KEYS = 10_000  # of a backlog
STEPS_OF_ONE = 2  # of a finished saga
SPAN = timedelta(days=29)  # within what is kept


async def row_of(database: Database, table: Table, **where: Any) -> Row:
    """One that the system itself has written."""
    found = await database.fetch_one(select(table).filter_by(**where).limit(1))
    assert found is not None, f"{table.name} has no such row"
    return dict(found)


def finished_sagas(saga: Row, numbers: range, share: float) -> Iterator[Row]:
    """Ended one after the other over the last month, each tenth undone; few have another name, and one is parked."""
    for number in numbers:
        created = NOW - SPAN * (1 - number * share)
        state = {"state": "failed", "error": DECLINED, "result": None} if number % 10 == 0 else {}
        if number % 50_000 == 7:
            state["name"] = "rare"
        if number == 1:
            state = {"state": "parked", "resume": "running", "problem": "it waits for a person", "result": None}
        yield saga | state | {
            "id": _spread(number), "created": created, "updated": created + timedelta(seconds=1)
        }  # fmt: skip


def steps(step: Row, numbers: range) -> Iterator[Row]:
    for number in numbers:
        for position in range(STEPS_OF_ONE):
            yield step | {"saga_id": _spread(number), "position": str(position), "sequence": position + 1}


def handled(record: Row, numbers: range) -> Iterator[Row]:
    for number in numbers:
        yield record | {"event_id": str(uuid4()), "handled_at": NOW.timestamp() - number % 2_000_000}


def answered(numbers: range) -> Iterator[Row]:
    for number in numbers:
        yield {
            "operation": "/bench.growth.v1.Shop/sell", "key": f"{_spread(number)}:0", "request": "r" * 43,
            "fault": None, "answer": b"null", "answered": NOW - timedelta(seconds=number % 2_000_000), "owner": None,
        }  # fmt: skip


def owed(event: Row, numbers: range) -> Iterator[Row]:
    """Events of many keys, never tried."""
    for number in numbers:
        name, key = str(uuid4()), f"item {number % KEYS}"
        body = event["body"].replace(event["event_id"], name).replace(f'"{event["key"]}"', f'"{key}"')
        row = event | {"event_id": name, "key": key, "body": body, "member": None, "error": None, "attempts": 0}
        del row["seq"]
        yield row


def resting(saga: Row, numbers: range) -> Iterator[Row]:
    """One that is parked and one that sleeps, for each number."""
    for number in numbers:
        created = NOW - SPAN + timedelta(seconds=number)
        parked = {"state": "parked", "resume": "running", "problem": "it waits for a person", "result": None}
        asleep = {"state": "waiting", "wake_at": NOW + timedelta(days=365), "result": None}
        for kind, state in (("a", parked), ("b", asleep)):
            yield saga | state | {"id": f"{kind}{_spread(number)[1:]}", "created": created, "updated": created}


def _spread(number: int) -> str:
    """An id whose place among the others is anywhere, as that of a real one."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:016x}"


async def fill(url: str, kind: str, first: int, last: int) -> None:
    """Add the rows from `first` to `last`, of as many as there are to be in the end."""
    numbers = range(first, last)
    shop, ledger = (database_for(url.format(service=name), name=name) for name in ("shop", "ledger"))
    for database in (shop, ledger):
        await database.start()
    saga = await row_of(shop, SAGAS, state="done")
    server = None if url.startswith("sqlite") else url.partition("?")[0]
    add: Write = _inserted if server is None else partial(_copied, server)
    if kind == "finished":
        step = await row_of(shop, STEPS, saga_id=saga["id"], position="0")
        await add(shop, SAGAS, finished_sagas(saga, numbers, 1 / max(last, 1)))
        await add(shop, STEPS, steps(step, numbers))
        await add(ledger, INBOX, handled(await row_of(ledger, INBOX), numbers))
        await add(shop, ANSWERS, answered(numbers))
    elif kind == "backlog":
        await add(shop, OUTBOX, owed(await row_of(shop, OUTBOX, subscriber="away"), numbers))
    else:
        await add(shop, SAGAS, resting(saga, range(first // 10, last // 10)))
    for database in (shop, ledger):
        await database.stop()
    if server is not None:
        connection = await asyncpg.connect(server)
        await connection.execute("VACUUM (ANALYZE)")
        await connection.close()


async def _inserted(database: Database, table: Table, rows: Iterator[Row]) -> None:
    statement = insert(table)
    while chunk := list(islice(rows, CHUNK)):
        await database.execute(statement, chunk)


async def _copied(server: str, database: Database, table: Table, rows: Iterator[Row]) -> None:
    """By COPY, which the adapter has no use for; the service's name is its schema's."""
    columns = [column.name for column in table.columns if column.name != "seq"]
    records = (tuple(row[name] for name in columns) for row in rows)
    connection = await asyncpg.connect(server)
    await connection.copy_records_to_table(table.name, schema_name=database.name, records=records, columns=columns)
    await connection.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--kind", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--last", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(fill(given.url, given.kind, given.first, given.last))
    print("filled")


if __name__ == "__main__":
    main()
