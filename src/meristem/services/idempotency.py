"""`@once`: an answer is stored under its idempotency key in the transaction that made it, and given again."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.schema import CreateIndex, DropIndex

from meristem.clock import SteadyTime
from meristem.contracts.codec import canonical, declared, decode_fault, decoder, encode, encode_fault
from meristem.contracts.message import Message
from meristem.errors import CallError, Code, Fault, IntegrityViolation, StorageError
from meristem.keys import ANONYMOUS, Twins, asked_by, asked_otherwise, of_an_earlier_release, owner_of, reused, twins_of
from meristem.lifecycle import Background
from meristem.storage.sweep import Sweep
from meristem.storage.versions import AddColumn, Revision, Schema, index_where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement

    from meristem.clock import Clock
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation
    from meristem.security.digest import Digest
    from meristem.storage.database import Database
    from meristem.storage.unit import UnitOfWork

logger = logging.getLogger(__name__)
PRUNE_AFTER: Final = 600.0  # seconds, once the service has started and has nothing better to do
PRUNE_EVERY: Final = 86400.0  # seconds: a thirtieth of the time for which answers are kept

metadata: Final = MetaData()
ANSWERS: Final = Table(
    "meristem_once",
    metadata,
    Column("operation", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request", String(64), nullable=False),  # its digest: enough to refuse a key used for something else
    Column("fault", String(200)),
    Column("answer", LargeBinary, nullable=False),
    Column("answered", DateTime(timezone=True), nullable=False),
    Column("owner", String(40)),  # whose answer it is; NULL in rows of releases that did not store it
)


def _is_scoped(key: Column[Any]) -> ColumnElement[bool]:
    """Whether a key can have twins; in literals, since a partial index serves only a statement that repeats it."""
    return func.substr(key, literal_column("33"), literal_column("1")) == literal_column("'.'")


def _index_of_twins(answers: Table) -> Index:
    return index_where("meristem_once_asked", _is_scoped(answers.c.key), answers.c.request, answers.c.key)


_index_of_twins(ANSWERS)
_BEFORE: Final = Table(
    "meristem_once",
    MetaData(),
    Column("key", String),
    Column("request", String),
    Column("owner", String(40)),
    Column("answered", DateTime(timezone=True)),
)
_BY_AGE: Final = Index("ix_meristem_once_answered", _BEFORE.c.answered)
SCHEMA: Final = Schema(
    "once",
    metadata,
    ANSWERS.name,
    [
        Revision("001_tables", compatible=True),
        # Beside this release an earlier one would not find under a key as it came what is stored under a scoped one.
        Revision(
            "002_scoped_keys",
            compatible=False,
            steps=[AddColumn(_BEFORE.c.owner), CreateIndex(_index_of_twins(_BEFORE))],
        ),
        # One page less in the commit of each answer. An older release forgets without it too, only slower.
        Revision("003_no_age", compatible=True, steps=[DropIndex(_BY_AGE)]),
    ],
)

_operation = ANSWERS.c.operation == bindparam("operation_")
# An earlier release stored the key as it came.
_as_it_came = and_(_operation, ANSWERS.c.key == bindparam("sent_"), ANSWERS.c.owner.is_(None))
_by_twin = and_(
    _operation,
    _is_scoped(ANSWERS.c.key),
    ANSWERS.c.request == bindparam("request_"),
    ANSWERS.c.key >= bindparam("low_"),
    ANSWERS.c.key < bindparam("high_"),
)
# The operation in each branch, so that each is looked up by an index.
FIND: Final = (
    select(ANSWERS.c.key, ANSWERS.c.request, ANSWERS.c.owner, ANSWERS.c.fault, ANSWERS.c.answer)
    .where(or_(and_(_operation, ANSWERS.c.key == bindparam("key_")), _as_it_came, _by_twin))
    .limit(1)
)
# The statement itself looks for twins: writers come one after the other, whichever replica they are of.
STORE: Final = insert(ANSWERS).from_select(
    [column.name for column in ANSWERS.c],
    select(*(bindparam(f"v_{column.name}", type_=column.type) for column in ANSWERS.c)).where(
        ~exists().where(_by_twin)
    ),
)
FORGET: Final = Sweep(ANSWERS, ANSWERS.c.answered)


class Answer(Message):
    """A stored answer: the reply, or the declared fault of this name."""

    key: str
    request: str
    owner: str | None
    fault: str | None
    answer: bytes


class Asked(NamedTuple):
    """What a call asks: under which key, which `sent` was as it came, the digest of its request, and for whom."""

    key: str
    sent: str
    request: str
    owner: str
    twins: Twins


def answer_once(operation: Operation, database: Database, clock: Clock, digest: Digest) -> Middleware:
    """Keep the first answer of each idempotency key; declared faults are answers too.

    Raises CallError `already_exists` when a key comes back with another request, when its request comes back from a
    caller who is signed in otherwise, and when a key that a service chose comes back for another user. Two calls with
    one key at the same time: the second waits for the first, or, on another replica, loses at the commit and gives
    its answer.
    """
    return lambda handler: _Once(operation, database, clock, digest, handler).answer


class _Once:
    def __init__(
        self, operation: Operation, database: Database, clock: Clock, digest: Digest, handler: Handler
    ) -> None:
        self._operation = operation
        self._database = database
        self._clock = clock
        self._digest = digest
        self._handler = handler
        self._decode = decoder(operation.reply)
        self._faults = {fault.__name__: fault for fault in operation.raises}
        self._running: dict[str, asyncio.Future[None]] = {}
        self._asking: Counter[tuple[str, str]] = Counter()  # running calls by what they ask and whether anonymously

    async def answer(self, call: Call) -> Any:
        asked = self._asked(call)
        # Again after each wait: of several that waited, one went first. Shielded: they all wait for one future.
        while (running := self._running.get(asked.key)) is not None:
            await asyncio.shield(running)
        with self._alone(asked):
            stored = await self._find(asked)
            return self._repeat(stored, asked) if stored else await self._first(call, asked)

    def _asked(self, call: Call) -> Asked:
        key, keys, user = call.context.key, call.context.keys, call.context.user
        assert key is not None  # every @once call is given one on its way in
        assert keys is not None
        subject = None if user is None else user.subject
        # By this digest earlier releases told users apart, where an operation is for signed-in ones.
        asker = subject.encode() if subject is not None and self._operation.authenticated else b""
        request = self._digest.of(canonical(call.request), asker)
        return Asked(key, keys.sent, request, owner_of(subject), twins_of(key))

    @contextmanager
    def _alone(self, asked: Asked) -> Iterator[None]:
        """Keep others out who use the key; refuse the call while a twin of it is answered."""
        if (asked.twins.low, asked.request) in self._asking:
            raise asked_otherwise(self._operation.label)
        what = (asked_by(asked.key) or asked.key, asked.request)
        self._asking[what] += 1
        self._running[asked.key] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            # That it has ended, not the answer: the next one looks into the database, where a failure left none.
            self._running.pop(asked.key).set_result(None)
            self._asking[what] -= 1
            if not self._asking[what]:
                del self._asking[what]

    async def _first(self, call: Call, asked: Asked) -> Any:
        try:
            return await self._run(call, asked)
        except Fault as fault:
            known = declared(fault, self._operation.raises)
            if known is None:
                raise
            return await self._keep_fault(known, asked)
        except IntegrityViolation:
            # Where no answer is there, the constraint that was violated is one of the service's own tables.
            stored = await self._find(asked)  # another replica was first
            if stored is None:
                raise
            return self._repeat(stored, asked)

    async def _run(self, call: Call, asked: Asked) -> Any:
        async with self._database.unit() as unit:
            reply = await self._handler(call)
            self._store(unit, asked, None, encode(reply))
        return reply

    async def _keep_fault(self, fault: Fault, asked: Asked) -> Any:
        """What the method wrote is rolled back; that it refused is remembered."""
        name, answer = type(fault).__name__, encode_fault(fault)
        try:
            async with self._database.unit() as unit:
                self._store(unit, asked, name, answer)
        except IntegrityViolation:
            stored = await self._find(asked)
            if stored is not None:
                return self._repeat(stored, asked)
        raise fault

    def _store(self, unit: UnitOfWork, asked: Asked, fault: str | None, answer: bytes) -> None:
        row = {
            "v_operation": self._operation.path,
            "v_key": asked.key,
            "v_request": asked.request,
            "v_fault": fault,
            "v_answer": answer,
            "v_answered": self._clock.now(),
            "v_owner": asked.owner,
        }
        unit.at_commit(STORE, row | self._twins(asked), otherwise=asked_otherwise(self._operation.label))

    def _twins(self, asked: Asked) -> dict[str, str]:
        low, high = asked.twins
        return {"operation_": self._operation.path, "request_": asked.request, "low_": low, "high_": high}

    async def _find(self, asked: Asked) -> Answer | None:
        """What excludes that the call is made: the answer under its key, or that of a twin."""
        where = {"key_": asked.key, "sent_": asked.sent} | self._twins(asked)
        return await self._database.fetch_one(FIND, where, into=Answer)

    def _repeat(self, stored: Answer, asked: Asked) -> Any:
        label = self._operation.label
        if stored.key not in (asked.key, asked.sent):
            raise asked_otherwise(label)
        if stored.request != asked.request or stored.owner not in (None, asked.owner):
            raise reused(label)
        if stored.key != asked.key and not self._is_known(asked):
            raise of_an_earlier_release(label)
        if stored.fault is None:
            return self._decode(stored.answer)
        fault = self._faults.get(stored.fault)
        if fault is None:
            raise CallError(Code.INTERNAL, f"{label} once answered {stored.fault}, now undeclared")
        raise decode_fault(fault, stored.answer)

    def _is_known(self, asked: Asked) -> bool:
        """Whether the digest of an earlier release tells whose an answer is, or it can be anybody's."""
        return self._operation.authenticated or asked.owner == ANONYMOUS


class OldAnswers:
    """Forgets answers that are older than anybody repeats a call, once a day."""

    def __init__(self, database: Database, clock: Clock, *, retention: timedelta = timedelta(days=30)) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention
        self._background = Background(f"answers of {database.name}")

    async def start(self) -> None:
        """Begin to forget."""
        self._background.spawn(self._repeat(), "prune")

    async def drain(self) -> None:
        """Nobody waits for it."""

    async def stop(self) -> None:
        """Forget no more."""
        await self._background.stop()

    async def _repeat(self) -> None:
        passing = SteadyTime(self._clock)
        await self._clock.sleep(PRUNE_AFTER)
        while True:
            try:
                # What is forgotten too early is done twice: a clock that was set forward makes nothing old.
                await FORGET.delete(self._database, passing.earlier() - self._retention)
            except StorageError:
                logger.exception("%s: old answers could not be forgotten; trying again later", self._database.name)
            await self._clock.sleep(PRUNE_EVERY)
