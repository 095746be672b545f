"""The ledger: lines are only ever added, and each carries a seal over itself and the line before.

The database refuses to change a line; who gets around the database breaks the chain of seals, which `first_broken`
finds.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from hotels.contracts.money import Money
from hotels.contracts.payments import EntryKind, LedgerEntry
from hotels.payments import tables
from meristem import Database, Message

PAGE = 500
UNSEALED = "0" * 64


class Line(Message):
    """A line of the ledger as it is stored."""

    number: int
    kind: EntryKind
    booking_id: UUID
    amount: Decimal
    currency: str
    bank_reference: str
    entered: datetime
    seal: str = ""

    def entry(self) -> LedgerEntry:
        """The line as others read it."""
        return LedgerEntry(
            number=self.number,
            kind=self.kind,
            booking_id=self.booking_id,
            amount=Money(amount=self.amount, currency=self.currency),
            bank_reference=self.bank_reference,
            entered=self.entered,
        )

    def seal_after(self, before: str) -> str:
        """SHA-256 over the seal of the line before and every field of this one, one a line."""
        parts = [
            before,
            str(self.number),
            self.kind.value,
            str(self.booking_id),
            f"{self.amount:.2f}",
            self.currency,
            self.bank_reference,
            self.entered.astimezone(UTC).isoformat(timespec="microseconds"),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class End(Message):
    """Where the ledger ends."""

    number: int
    seal: str


async def add_line(
    database: Database, kind: EntryKind, booking_id: UUID, amount: Money, bank_reference: str, entered: datetime
) -> None:
    """Add a line within the current unit of work."""
    async with database.begin() as tx:
        end = await tx.fetch_one(tables.NEXT_NUMBER, into=End)
        if end is None:
            raise RuntimeError("the ledger has no end row: apply the service's migrations")
        line = Line(
            number=end.number,
            kind=kind,
            booking_id=booking_id,
            amount=amount.amount,
            currency=amount.currency,
            bank_reference=bank_reference,
            entered=entered,
        )
        seal = line.seal_after(end.seal)
        columns = msgspec.structs.asdict(line)
        tx.defer(tables.INSERT_LINE, {**columns, "kind": kind.value, "seal": seal})
        tx.defer(tables.MOVE_END, {"latest": seal})


async def lines_of(database: Database, booking_id: UUID) -> list[LedgerEntry]:
    """The lines of a booking, oldest first."""
    found = await database.fetch_all(tables.LINES, {"booking_id": booking_id}, into=Line)
    return [line.entry() for line in found]


async def first_broken(database: Database) -> int | None:
    """The number of the first line that is missing or not as it was sealed; None when all are whole."""
    number, seal = 0, UNSEALED
    end = await database.fetch_one(tables.END, into=End)
    while page := await database.fetch_all(tables.LINES_AFTER, {"after": number, "most": PAGE}, into=Line):
        for line in page:
            if line.number != number + 1 or line.seal != line.seal_after(seal):
                return number + 1
            number, seal = line.number, line.seal
    return number + 1 if end is not None and end.number > number else None
