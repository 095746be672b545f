"""`@once`: an answer is stored under its idempotency key in the transaction that made it, and given again."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, DateTime, LargeBinary, MetaData, String, Table, bindparam, delete, insert, select

from meristem.contracts.codec import declared, decode_fault, decoder, encode, encode_fault
from meristem.contracts.message import Message
from meristem.errors import CallError, Code, Fault, IntegrityViolation, StorageError
from meristem.lifecycle import Background
from meristem.storage.versions import Revision, Schema

if TYPE_CHECKING:
    from meristem.clock import Clock
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation
    from meristem.security.digest import Digest
    from meristem.storage.database import Database

logger = logging.getLogger(__name__)
PRUNE_EVERY: Final = 3600.0  # seconds

metadata: Final = MetaData()
ANSWERS: Final = Table(
    "meristem_once",
    metadata,
    Column("operation", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request", String(64), nullable=False),  # its digest: enough to refuse a key used for something else
    Column("fault", String(200)),
    Column("answer", LargeBinary, nullable=False),
    Column("answered", DateTime(timezone=True), nullable=False, index=True),
)
SCHEMA: Final = Schema("once", metadata, ANSWERS.name, [Revision("001_tables", compatible=True)])

STORE: Final = insert(ANSWERS)
FIND: Final = select(ANSWERS.c.request, ANSWERS.c.fault, ANSWERS.c.answer).where(
    ANSWERS.c.operation == bindparam("operation"), ANSWERS.c.key == bindparam("key")
)
FORGET: Final = delete(ANSWERS).where(ANSWERS.c.answered < bindparam("before"))


class Answer(Message):
    """A stored answer: the reply, or the declared fault of this name."""

    request: str
    fault: str | None
    answer: bytes


def answer_once(operation: Operation, database: Database, clock: Clock, digest: Digest) -> Middleware:
    """Keep the first answer of each idempotency key; declared faults are answers too.

    Raises CallError `invalid_argument` when a key comes back with another request, or from another user of an
    operation for signed-in users. Two calls with one key at the
    same time: the second waits for the first, or, on another replica, loses at the commit and gives its answer.
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

    async def answer(self, call: Call) -> Any:
        key = call.context.key
        assert key is not None  # dispatch gives every @once call one
        request = self._digest.of(encode(call.request), self._asker(call))
        while (other := self._running.get(key)) is not None:
            await asyncio.shield(other)
        self._running[key] = asyncio.get_running_loop().create_future()
        try:
            stored = await self._find(key)
            return self._repeat(stored, request) if stored else await self._first(call, key, request)
        finally:
            self._running.pop(key).set_result(None)

    def _asker(self, call: Call) -> bytes:
        """Who may have the answer again: only the same user, where the operation is for signed-in users."""
        user = call.context.user if self._operation.authenticated else None
        return b"" if user is None else user.subject.encode()

    async def _first(self, call: Call, key: str, request: str) -> Any:
        try:
            return await self._run(call, key, request)
        except Fault as fault:
            known = declared(fault, self._operation.raises)
            if known is None:
                raise
            return await self._keep_fault(known, key, request)
        except IntegrityViolation:
            stored = await self._find(key)  # another replica was first
            if stored is None:
                raise
            return self._repeat(stored, request)

    async def _run(self, call: Call, key: str, request: str) -> Any:
        async with self._database.unit() as unit:
            reply = await self._handler(call)
            unit.at_commit(STORE, self._row(key, request, None, encode(reply)))
        return reply

    async def _keep_fault(self, fault: Fault, key: str, request: str) -> Any:
        """What the method wrote is rolled back; that it refused is remembered."""
        row = self._row(key, request, type(fault).__name__, encode_fault(fault))
        try:
            async with self._database.unit() as unit:
                unit.at_commit(STORE, row)
        except IntegrityViolation:
            stored = await self._find(key)
            if stored is not None:
                return self._repeat(stored, request)
        raise fault

    def _row(self, key: str, request: str, fault: str | None, answer: bytes) -> dict[str, Any]:
        now = self._clock.now()
        where = {"operation": self._operation.path, "key": key}
        return {**where, "request": request, "fault": fault, "answer": answer, "answered": now}

    async def _find(self, key: str) -> Answer | None:
        return await self._database.fetch_one(FIND, {"operation": self._operation.path, "key": key}, into=Answer)

    def _repeat(self, stored: Answer, request: str) -> Any:
        if stored.request != request:
            raise CallError(
                Code.INVALID_ARGUMENT,
                f"{self._operation.label}: this idempotency key was used for another request; use a new key",
                may_have_happened=False,
            )
        if stored.fault is None:
            return self._decode(stored.answer)
        fault = self._faults.get(stored.fault)
        if fault is None:
            raise CallError(Code.INTERNAL, f"{self._operation.label} once answered {stored.fault}, now undeclared")
        raise decode_fault(fault, stored.answer)


class OldAnswers:
    """Forgets answers that are older than anybody repeats a call, once an hour."""

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
        while True:
            try:
                await self._database.execute(FORGET, {"before": self._clock.now() - self._retention})
            except StorageError:
                logger.exception("%s: old answers could not be forgotten; trying again later", self._database.name)
            await self._clock.sleep(PRUNE_EVERY)
