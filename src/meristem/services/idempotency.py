"""`@once`: an answer is stored under its idempotency key in the transaction that made it, and given again."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from meristem.contracts.canonical import canonical
from meristem.contracts.codec import declared, decode_fault, decoder, encode, encode_fault
from meristem.errors import CallError, Code, Fault, IntegrityViolation
from meristem.keys import (
    ANONYMOUS,
    NO_TWINS,
    Twins,
    asked_by,
    asked_otherwise,
    of_an_earlier_release,
    owner_of,
    reused,
    twins_of,
)
from meristem.services.answers import FIND, FIND_SCOPED, STORE, STORE_SCOPED, Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.clock import Clock
    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation
    from meristem.security.digest import Digest
    from meristem.storage.database import Database
    from meristem.storage.unit import UnitOfWork


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
        asker = None if user is None else user.asker
        # By this digest earlier releases told users apart, where an operation is for signed-in ones.
        whose = asker.encode() if asker is not None and self._operation.authenticated else b""
        request = self._digest.of(canonical(call.request), whose)
        return Asked(key, keys.sent, request, owner_of(asker), twins_of(key))

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
        if asked.twins is NO_TWINS:
            unit.at_commit(STORE, row)
        else:
            unit.at_commit(STORE_SCOPED, row | self._twins(asked), otherwise=asked_otherwise(self._operation.label))

    def _twins(self, asked: Asked) -> dict[str, str]:
        low, high = asked.twins
        return {"operation_": self._operation.path, "request_": asked.request, "low_": low, "high_": high}

    async def _find(self, asked: Asked) -> Answer | None:
        """What excludes that the call is made: the answer under its key, or that of a twin."""
        if asked.twins is NO_TWINS:  # a service's own key, which never came in another form
            where = {"operation_": self._operation.path, "key_": asked.key}
            return await self._database.fetch_one(FIND, where, into=Answer)
        where = {"key_": asked.key, "sent_": asked.sent} | self._twins(asked)
        return await self._database.fetch_one(FIND_SCOPED, where, into=Answer)

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
