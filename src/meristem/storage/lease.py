"""The one lease: which replicas work on a database, whose rows are free, and which of them does what only one may do.

A replica is a row with a number that is never used again. That number is its fence: rows are stamped with it, and are
free as soon as it is gone from the table. A replica that was taken for dead and comes back finds its own row missing,
and begins anew under another number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import BigInteger, bindparam, delete, exists, func, insert, or_, select, update

from meristem.errors import IntegrityViolation, StorageError
from meristem.failure_log import log_failure
from meristem.lifecycle import Background
from meristem.storage.failure_detector import FailureDetector, Member
from meristem.storage.fence import Fence, LeaseLostError, stand_behind
from meristem.storage.lease_tables import DUTIES, LIVING, MEMBERS
from meristem.storage.owner import is_certainly_dead, new_owner
from meristem.storage.statement_cache import URGENT

if TYPE_CHECKING:
    from meristem.storage.database import Database

logger: Final = logging.getLogger("meristem.storage")

_me: Final = bindparam("me", type_=BigInteger)
_I_LIVE: Final = exists().where(MEMBERS.c.id == _me)
_ALL: Final = select(MEMBERS.c.id, MEMBERS.c.process, MEMBERS.c.beat).execution_options(**{URGENT: True})
_REPLICAS: Final = select(MEMBERS.c.name, MEMBERS.c.process).order_by(MEMBERS.c.id)
_REPLICA: Final = select(MEMBERS.c.name, MEMBERS.c.process).where(MEMBERS.c.id == _me)
_OTHERS: Final = select(func.count()).select_from(MEMBERS).where(MEMBERS.c.id != _me)
_JOIN: Final = insert(MEMBERS).returning(MEMBERS.c.id)
_REPLACE: Final = delete(MEMBERS).where(MEMBERS.c.name == bindparam("of_name"))
_LEAVE: Final = delete(MEMBERS).where(MEMBERS.c.id == _me)
_BURY: Final = delete(MEMBERS).where(MEMBERS.c.id == bindparam("whose"), MEMBERS.c.beat == bindparam("seen"))
# Behind all that a busy replica does it would come the later the busier that is.
_BEAT: Final = (
    update(MEMBERS).where(MEMBERS.c.id == _me).values(beat=MEMBERS.c.beat + 1).execution_options(**{URGENT: True})
)
_duty: Final = DUTIES.c.name == bindparam("of_duty")
_HOLDER: Final = select(DUTIES.c.member, exists().where(MEMBERS.c.id == DUTIES.c.member).label("lives")).where(_duty)
_TAKE: Final = (
    update(DUTIES).where(_duty, or_(DUTIES.c.member == _me, DUTIES.c.member.not_in(LIVING)), _I_LIVE).values(member=_me)
)
_BEGIN: Final = insert(DUTIES)
_HOLD: Final = update(DUTIES).where(_duty, DUTIES.c.member == _me).values(member=_me)

RENEWAL: Final = 0.5  # seconds between two looks, and two beats
PATIENCE: Final = 7  # looks without a beat of another one, then it is taken for dead
SLOW: Final = 1.0  # seconds for a look of its own that tells nothing of others: the database may be slow for all


class _Holder(msgspec.Struct):
    member: int
    lives: bool


class _Replica(msgspec.Struct):
    name: str
    process: str


async def replicas(database: Database) -> list[str]:
    """The names of the replicas that are taken for alive on a database, without those that certainly died."""
    found = await database.fetch_all(_REPLICAS, into=_Replica)
    return [each.name for each in found if not is_certainly_dead(each.process)]


async def holder(database: Database, member: int) -> str | None:
    """The name of the replica that holds what is stamped with a number; None where that is taken for dead."""
    found = await database.fetch_one(_REPLICA, {"me": member}, into=_Replica)
    return None if found is None or is_certainly_dead(found.process) else found.name


class Lease:
    """This replica's place among those that work on one database, by its `name`, between `start` and `stop`.

    It looks around every `renewal` seconds, and says that it lives while there are others to hear it. Another one is
    dead whose process is gone from this machine, or that said nothing for `patience` looks in a row, and for more where
    it came late before (`FailureDetector`). A database that is slow or away makes nobody look dead: a look that took
    long, or failed, begins the count anew. `lost` are told when this replica was taken for dead
    itself, `freed` when another one's rows have become free, whoever found it dead. `former` are the numbers that this
    replica had and lost.
    """

    def __init__(self, database: Database, name: str, *, renewal: float = RENEWAL, patience: int = PATIENCE) -> None:
        self.name = name
        self.member = 0
        self.lost: list[Callable[[], None]] = []
        self.freed: list[Callable[[], None]] = []
        self.former: set[int] = set()
        self._database = database
        self._renewal = renewal
        self._detector = FailureDetector(patience)
        self._process = new_owner()
        self._others: set[int] = set()  # that lived at the last look
        self._doubtful = False  # whether it may hold rows that nobody here knows of
        self._duties: set[asyncio.Task[None]] = set()
        self._background = Background(f"lease of {name}")

    async def start(self) -> None:
        """Join in the place of whoever had this name before, and bury those that certainly died."""
        async with self._database.unit() as unit:
            await unit.execute(_REPLACE, {"of_name": self.name})
            member = await self._join(unit)
        self.member = member
        await self.look()
        self._database.doubts.append(self._doubt)
        self._background.spawn(self._keep(), "renew")

    async def drain(self) -> None:
        """What runs under the lease is drained by its owners; nothing to do."""

    async def stop(self) -> None:
        """Leave: what is stamped with this replica's number is free from now on."""
        was_started, member = bool(self.member), self.member
        self.member = 0
        await self._background.stop()
        if self._doubt in self._database.doubts:
            self._database.doubts.remove(self._doubt)
        if was_started:
            await self._database.execute(_LEAVE, {"me": member})

    async def others(self) -> int:
        """How many other replicas are taken for alive."""
        return int(await self._database.fetch_value(_OTHERS, {"me": self.member}))

    async def look(self) -> None:
        """Say that this replica lives where another one may ask, and bury the dead."""
        began = monotonic()
        try:
            lives, others = await self._see()
        except StorageError:
            self._detector.begin_anew()
            raise
        if monotonic() - began < SLOW:
            self._detector.hear(others)
        else:
            self._detector.begin_anew()
        dead = [each for each in others if self._detector.is_dead(each)]
        for each in dead:
            await self._database.execute(_BURY, {"whose": each.id, "seen": each.beat})
        if lives and self._doubtful:
            # Rows of that commit may bear this number without anybody here who knows of them.
            await self._database.execute(_LEAVE, {"me": self.member})
        if self._doubtful or not lives:
            self._doubtful = False
            await self._begin_anew("was taken for dead" if not lives else "does not know whether a commit has happened")
        here, self._others = self._others, {each.id for each in others if each not in dead}
        if dead or here - self._others:
            _call(self.freed)

    async def _see(self) -> tuple[bool, list[Member]]:
        """Beat, and see whether this one's row is there, and whose else."""
        # First: a beat waits for what the beats of others wait for, as a lock that somebody holds.
        has_beaten = bool(self._others)
        lives = not has_beaten or await self._beat()
        members = await self._database.fetch_all(_ALL, into=Member)
        others = [each for each in members if each.id != self.member]
        lives = lives and len(members) > len(others)
        if lives and others and not has_beaten:
            lives = await self._beat()
        return lives, others

    async def _beat(self) -> bool:
        return (await self._database.execute(_BEAT, {"me": self.member})).rowcount > 0

    async def run_alone(self, duty: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` if this replica has the duty, or nobody alive has it; a lost lease cancels it midway."""
        if not await self._holds(duty):
            return
        task = asyncio.create_task(self._behind_fence(duty, work))
        self._duties.add(task)
        try:
            await task
        except (asyncio.CancelledError, LeaseLostError) as lost:
            current = asyncio.current_task()
            if isinstance(lost, asyncio.CancelledError) and current is not None and current.cancelling():
                raise
            logger.warning("%s lost its lease while it did %s: that run was stopped", self.name, duty)
        finally:
            self._duties.discard(task)

    async def inherit(self, duty: str) -> bool:
        """Take the duty of a replica that has died; False where nobody had it, or one has it that lives."""
        holder = await self._holder(duty)
        return holder is not None and not holder.lives and await self._take(duty)

    async def _behind_fence(self, duty: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # Stopped and continued, it would write beside its heir before its next look finds that it was buried.
        lost = LeaseLostError(f"{self.name} was taken for dead: another replica does {duty}, and nothing was written")
        fence = Fence(self._database, _HOLD, {"of_duty": duty, "me": self.member}, lost)
        stand_behind(fence)
        try:
            await work()
        except Exception as failure:
            fence.stands = isinstance(failure, LeaseLostError)
            raise
        fence.stands = False

    async def _holder(self, duty: str) -> _Holder | None:
        return await self._database.fetch_one(_HOLDER, {"of_duty": duty}, into=_Holder)

    async def _take(self, duty: str) -> bool:
        return (await self._database.execute(_TAKE, {"of_duty": duty, "me": self.member})).rowcount > 0

    async def _holds(self, duty: str) -> bool:
        holder = await self._holder(duty)
        if holder is not None and holder.lives:
            return holder.member == self.member
        if holder is not None:
            return await self._take(duty)
        try:
            await self._database.execute(_BEGIN, {"name": duty, "member": self.member})
        except IntegrityViolation:  # another replica was faster
            return False
        return True

    async def _join(self, unit: Any) -> int:
        return int(await unit.fetch_value(_JOIN, {"name": self.name, "process": self._process, "beat": 0}))

    def _doubt(self) -> None:
        self._doubtful = True

    async def _begin_anew(self, why: str) -> None:
        logger.warning("%s %s: it begins anew, and what it held is free", self.name, why)
        for task in self._duties:
            task.cancel()
        async with self._database.unit() as unit:
            member = await self._join(unit)
        self.former.add(self.member)
        # In one turn of the loop: what took the new number before they forget would be held by nobody who knows of it.
        self.member = member
        _call(self.lost)

    async def _keep(self) -> None:
        took = 0.0
        while True:
            # Of the machine: a test that moves its clock by days does not look at every second of them. What a look
            # takes is part of its turn; two that follow one another at once would count one silence twice.
            await asyncio.sleep(max(self._renewal - took, self._renewal / 2))
            began = monotonic()
            try:
                await self.look()
            except StorageError as error:
                log_failure(logger, error, "%s could not renew its lease; trying again", self.name)
            took = monotonic() - began


def _call(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()
