"""Nobody changes the ledger: the database refuses it, and who gets around the database is found out."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hotels.contracts.money import Money
from hotels.contracts.payments import EntryKind
from hotels.payments.ledger import add_line, first_broken
from hotels.payments.service import PaymentsService

NOW = datetime(2030, 1, 1, tzinfo=UTC)
NOWHERE = {"payments": {"bank_url": "http://127.0.0.1:9"}}


@pytest.fixture
def ledger(run: Callable[..., Any]) -> Callable[..., Any]:
    """A ledger of so many lines."""

    @asynccontextmanager
    async def filled(lines: int) -> Any:
        async with run(PaymentsService, settings=NOWHERE) as app:
            database = app.database("payments")
            await asyncio.gather(
                *(
                    add_line(database, EntryKind.CHARGE, uuid4(), Money(amount=Decimal(1 + line)), f"ch_{line}", NOW)
                    for line in range(lines)
                )
            )
            yield app

    return filled


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger SET amount = 0",
        "DELETE FROM ledger WHERE number = 2",
        "REPLACE INTO ledger SELECT number, kind, booking_id, 0, currency, bank_reference, entered, seal FROM ledger",
    ],
)
async def test_the_database_refuses_to_change_a_line(ledger: Callable[..., Any], tmp_path: Path, change: str) -> None:
    async with ledger(3) as app:
        somebody = sqlite3.connect(tmp_path / "payments.db")
        with closing(somebody), pytest.raises(sqlite3.DatabaseError, match="append-only"):
            somebody.execute(change)
        assert await first_broken(app.database("payments")) is None


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE ledger SET amount = 1000 WHERE number = 4", 4),
        ("UPDATE ledger SET entered = '2031-01-01 00:00:00.000000' WHERE number = 2", 2),
        ("DELETE FROM ledger WHERE number = 3", 3),
        ("DELETE FROM ledger WHERE number = 5", 5),
    ],
)
async def test_who_gets_around_the_database_breaks_the_chain(
    ledger: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, tampering: str, found: int
) -> None:
    async with ledger(5) as app:
        with closing(sqlite3.connect(tmp_path / "payments.db")) as thief:
            thief.executescript("DROP TRIGGER ledger_refuses_update; DROP TRIGGER ledger_refuses_delete;" + tampering)
        assert await first_broken(app.database("payments")) == found

        with caplog.at_level(logging.ERROR):
            await app.service(PaymentsService).audit()

    assert f"line {found} " in caplog.text


async def test_lines_that_come_at_once_are_numbered_without_a_gap(ledger: Callable[..., Any]) -> None:
    async with ledger(40) as app:
        assert await first_broken(app.database("payments")) is None
