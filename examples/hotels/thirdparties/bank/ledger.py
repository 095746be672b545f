"""The bank's own record in one SQLite file: tokens, charges, refunds, and the first answer to every idempotency key."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .cards import DECLINES, Behaviour, Card
from .models import Charge, NewCharge, Refund, StatementLine, Token
from .money import from_minor, to_minor
from .problems import Problem

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, last4 TEXT NOT NULL, brand TEXT NOT NULL,
    behaviour TEXT NOT NULL, expires TEXT NOT NULL, created TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS charges (
    id TEXT PRIMARY KEY, token TEXT NOT NULL REFERENCES tokens, amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL, reference TEXT NOT NULL, created TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS charges_by_reference ON charges (reference);
CREATE TABLE IF NOT EXISTS refunds (
    id TEXT PRIMARY KEY, charge TEXT NOT NULL REFERENCES charges, amount INTEGER NOT NULL CHECK (amount > 0),
    created TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS refunds_by_charge ON refunds (charge);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    created TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS outages (key TEXT PRIMARY KEY) STRICT;
"""

_CHARGES = """SELECT c.id, c.amount, c.currency, c.reference, c.created, t.brand, t.last4
    FROM charges c JOIN tokens t USING (token)"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request with an idempotency key; ``is_late`` asks that the first one be held back."""

    status: int
    body: dict[str, object]
    is_repeat: bool = False
    is_late: bool = False


class Ledger:
    """Every write is one ``BEGIN IMMEDIATE`` transaction, synced to the disk before the method returns.

    One connection under a lock serves the threads of this process; the database's own lock serves other processes.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # SQLite would let others read it
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
        self._database.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def keep(self, card: Card) -> Token:
        token = f"tok_{secrets.token_urlsafe(18)}"
        row = (token, card.fingerprint, card.last4, card.brand, card.behaviour.value, card.expires, _now())
        with self._transaction() as tx:
            tx.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return Token(token=token, last4=card.last4, brand=card.brand)

    def charge(self, key: str, request: NewCharge) -> Answer:
        """Take the money once per key. A repeat gets the first answer, also when that was a decline."""
        with self._transaction() as tx:
            return self._once(tx, key, f"charge {request.model_dump_json()}", lambda: _charge(tx, key, request))

    def refund(self, key: str, charge_id: str, amount: str | None) -> Answer:
        """Give back ``amount``, or all that is left; never more than was charged, and once per key."""
        with self._transaction() as tx:
            return self._once(tx, key, f"refund {charge_id} {amount}", lambda: _refund(tx, charge_id, amount))

    def find(self, charge_id: str) -> StatementLine | None:
        lines = self._lines(f"{_CHARGES} WHERE c.id = ?", charge_id)
        return lines[0] if lines else None

    def with_reference(self, reference: str) -> list[StatementLine]:
        return self._lines(f"{_CHARGES} WHERE c.reference = ? ORDER BY c.rowid", reference)

    def statement(self) -> list[StatementLine]:
        """Every charge since the bank opened, oldest first."""
        return self._lines(f"{_CHARGES} ORDER BY c.rowid")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _once(self, tx: sqlite3.Connection, key: str, request: str, decide: Callable[[], Answer]) -> Answer:
        fingerprint = hashlib.sha256(request.encode()).hexdigest()
        stored = tx.execute("SELECT request, status, body FROM answers WHERE key = ?", (key,)).fetchone()
        if stored is None:
            answer = decide()
            if answer.status != 503:  # nothing was recorded, so a repeat starts afresh
                row = (key, fingerprint, answer.status, json.dumps(answer.body), _now())
                tx.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", row)
            return answer
        if stored["request"] != fingerprint:
            raise Problem(409, "This Idempotency-Key was used for another request. Use a new key.", reason="key_reused")
        return Answer(stored["status"], json.loads(stored["body"]), is_repeat=True)

    def _lines(self, query: str, *parameters: str) -> list[StatementLine]:
        with self._lock:
            self._database.execute("BEGIN")  # one snapshot for charges and refunds, whoever else writes the file
            try:
                charges = self._database.execute(query, parameters).fetchall()
                return [_line(row, _refunds_of(self._database, row)) for row in charges]
            finally:
                self._database.execute("COMMIT")


def card_key(database: Path) -> bytes:
    """The key of the card fingerprints, in a file beside the database that only the bank may read."""
    path = database.with_suffix(".key")
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # made with mode 0600
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was faster: its key is the key
                os.link(file.name, path)
    return path.read_bytes()


def _charge(tx: sqlite3.Connection, key: str, request: NewCharge) -> Answer:
    card = tx.execute("SELECT behaviour, expires FROM tokens WHERE token = ?", (request.token,)).fetchone()
    if card is None:
        raise Problem(422, "The bank does not know this token.", field="token")
    behaviour = Behaviour(card["behaviour"])
    if card["expires"] < _now()[:7]:
        behaviour = Behaviour.EXPIRED
    if behaviour in DECLINES:
        return _declined(behaviour)
    if behaviour is Behaviour.UNAVAILABLE_ONCE and _is_first_attempt(tx, key):
        return Answer(503, Problem(503, "The bank is not available. Nothing was recorded; try again.").as_json())
    charge = Charge(id=f"ch_{secrets.token_hex(12)}", created=_now(), **request.model_dump(exclude={"token"}))
    minor = to_minor(request.amount, request.currency)
    charge.amount = from_minor(minor, request.currency)
    row = (charge.id, request.token, minor, charge.currency, charge.reference, charge.created)
    tx.execute("INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?)", row)
    return Answer(201, charge.model_dump(), is_late=behaviour is Behaviour.SLOW)


def _refund(tx: sqlite3.Connection, charge_id: str, amount: str | None) -> Answer:
    charge = tx.execute("SELECT id, amount, currency FROM charges WHERE id = ?", (charge_id,)).fetchone()
    if charge is None:
        raise Problem(404, f"There is no charge {charge_id}.")
    currency = charge["currency"]
    given = tx.execute("SELECT coalesce(sum(amount), 0) FROM refunds WHERE charge = ?", (charge_id,)).fetchone()[0]
    left = charge["amount"] - given
    try:
        minor = left if amount is None else to_minor(amount, currency)
    except ValueError as error:
        raise Problem(422, str(error), field="amount") from error
    if not 0 < minor <= left:
        detail = f"Of this charge {from_minor(left, currency)} {currency} is left to refund."
        return Answer(422, Problem(422, detail, field="amount", reason="exceeds_charge").as_json())
    refund = Refund(
        id=f"re_{secrets.token_hex(12)}",
        charge=charge_id,
        amount=from_minor(minor, currency),
        currency=currency,
        created=_now(),
    )
    tx.execute("INSERT INTO refunds VALUES (?, ?, ?, ?)", (refund.id, charge_id, minor, refund.created))
    return Answer(201, refund.model_dump())


def _declined(behaviour: Behaviour) -> Answer:
    details = {
        Behaviour.DECLINE: "The card was declined.",
        Behaviour.NO_FUNDS: "The account behind the card has insufficient funds.",
        Behaviour.EXPIRED: "The card has expired.",
    }
    return Answer(402, Problem(402, details[behaviour], reason=behaviour.value).as_json())


def _is_first_attempt(tx: sqlite3.Connection, key: str) -> bool:
    return tx.execute("INSERT OR IGNORE INTO outages VALUES (?)", (key,)).rowcount == 1


def _refunds_of(database: sqlite3.Connection, charge: sqlite3.Row) -> list[sqlite3.Row]:
    query = "SELECT id, amount, created FROM refunds WHERE charge = ? ORDER BY rowid"
    return database.execute(query, (charge["id"],)).fetchall()


def _line(charge: sqlite3.Row, refunds: list[sqlite3.Row]) -> StatementLine:
    currency = charge["currency"]
    refunded = sum(refund["amount"] for refund in refunds)
    return StatementLine(
        **{**dict(charge), "amount": from_minor(charge["amount"], currency)},
        refunds=[
            Refund(
                id=refund["id"],
                charge=charge["id"],
                amount=from_minor(refund["amount"], currency),
                currency=currency,
                created=refund["created"],
            )
            for refund in refunds
        ],
        refunded=from_minor(refunded, currency),
        net=from_minor(charge["amount"] - refunded, currency),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
