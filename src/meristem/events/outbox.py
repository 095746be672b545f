"""The outbox: events become rows in the transaction that publishes them, one for each subscriber."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.errors import MisuseError
from meristem.events import claim_statements, statements
from meristem.events.cloudevents import LONGEST, is_sayable, write_json
from meristem.events.delivery import Claim, Courier, Delivery, Depth, Unreadable
from meristem.events.envelope import Envelope, enclose
from meristem.events.facts import Observer, Published, emit
from meristem.events.sendable import Sendable

if TYPE_CHECKING:
    from sqlalchemy.sql import Executable

    from meristem.clock import Clock
    from meristem.storage.database import Database
    from meristem.storage.lease import Lease
    from meristem.storage.unit import UnitOfWork


_ASKED: Final = 10  # keys of one transaction for which it asks whether they wait; the rest goes to the disk, and all
# where many arrived at once: it has the write lock from the first question to the last, however busy the event loop is
_PIECE: Final = 500  # rows changed at once
_POLL: Final = 1.0  # seconds
_POLL_SIDE_BY_SIDE: Final = 0.5  # seconds; a server is shared by replicas of several machines, of which any may publish


class _Claimed(msgspec.Struct):
    seq: int
    event_id: str
    type: str
    key: str
    body: str
    created: float
    attempts: int
    due_at: float
    crashes: int | None


class _Seen(_Claimed):
    """As `_Claimed`, without an event where none was claimed, and what was seen beside it."""

    is_open: bool
    last_key: str
    is_end: bool


class _LastTurn(msgspec.Struct):
    key: str
    is_end: bool


class _Owed:
    """What one commit adds: its rows, those of them that the relay takes from memory, and for whom others are left."""

    __slots__ = ("asked", "asks", "at", "created", "is_for_others", "left", "rows", "taken")

    def __init__(self, clock: Clock) -> None:
        self.at, self.created = clock.now().timestamp(), clock.steady()
        self.asked: dict[tuple[str, str], bool] = {}
        self.asks = True
        self.rows: list[dict[str, Any]] = []
        self.taken: list[Delivery] = []
        self.left: set[str] = set()
        self.is_for_others = False


class Outbox:
    """Writes what a unit of work published in its own commit, and hands it to the relay once that stands.

    `source` names the publisher (`//hotels/payments`), `destinations` says to whom an event type is owed. Rows
    that the relay has in memory are stamped with this replica's number under the `lease`. Every `poll` seconds a relay
    looks for those that no replica holds.
    """

    def __init__(
        self,
        database: Database,
        source: str,
        destinations: Callable[[str], Sequence[str]],
        clock: Clock,
        lease: Lease,
        *,
        sendable: Sendable = Sendable(),  # noqa: B008 - a tuple of constants
    ) -> None:
        self.source = source
        self.lease = lease
        self.observers: list[Observer] = []
        self.courier: Courier | None = None
        self._database = database
        self._side_by_side = database.writes_side_by_side
        self.poll = _POLL_SIDE_BY_SIDE if self._side_by_side else _POLL
        self._destinations = destinations
        self._clock = clock
        self._sendable_to_all = sendable

    async def start(self) -> None:
        """Join every commit that publishes."""
        self._database.before_commit.append(self._write)

    async def drain(self) -> None:
        """Commits go on being written until `stop`."""

    async def stop(self) -> None:
        """Leave the commits."""
        if self._write in self._database.before_commit:
            self._database.before_commit.remove(self._write)

    async def _write(self, unit: UnitOfWork) -> None:
        now, owed = self._clock.now(), _Owed(self._clock)
        published: list[Published] = []
        for event, context in unit.published:
            destinations = self._destinations(event.event_type)
            published.append(Published(event.event_type, len(destinations), self.source, event))
            if not destinations:
                continue
            envelope = enclose(event, self.source, now, context)
            body = self._sendable(envelope)  # once for all subscribers
            for subscriber in destinations:
                await self._owe(unit, owed, envelope.id, subscriber, envelope, body, is_new=True)
        self._seal(unit, owed, published)

    async def take_in(self, unit: UnitOfWork, subscriber: str, arrived: Sequence[Envelope | Unreadable]) -> None:
        """Have what a broker brought be owed to a service here by this commit; what can't be read is a dead letter."""
        owed = _Owed(self._clock)
        owed.asks = len(arrived) <= _ASKED
        for each in arrived:
            if isinstance(each, Unreadable):
                values = {"event_id": each.id, "subscriber": subscriber, "type": each.type, "body": each.body}
                unit.at_commit(statements.NOTE, values | {"created": owed.at, "error": each.reason})
            else:
                # It may have been handled, as a broker repeats what it was not told of: the inbox is asked.
                body = write_json(each).decode()
                await self._owe(unit, owed, each.name, subscriber, each, body, is_new=False)
        self._seal(unit, owed, [])

    async def _owe(
        self,
        unit: UnitOfWork,
        owed: _Owed,
        event_id: str,
        subscriber: str,
        envelope: Envelope,
        body: str,
        *,
        is_new: bool,
    ) -> None:
        # Asked for each row before it is written, because the row says whose it is: one that the relay takes from
        # memory is held by this replica, any other is free for whichever looks first.
        key = envelope.subject
        accepted = await self._is_accepted(unit, subscriber, key, owed)
        if accepted:
            created = owed.created
            delivery = Delivery(event_id, subscriber, envelope.type, key, envelope, created, 0, created, is_new=is_new)
            owed.taken.append(delivery)
        else:
            owed.left.add(subscriber)
            owed.is_for_others = owed.is_for_others or not self._has_room(subscriber, key)
        owed.rows.append(
            {
                "event_id": event_id,
                "subscriber": subscriber,
                "type": envelope.type,
                "key": key,
                "body": body,
                "created": owed.at,
                "member": self.lease.member if accepted else None,
            }
        )

    def _seal(self, unit: UnitOfWork, owed: _Owed, published: list[Published]) -> None:
        rows = owed.rows
        if rows:
            unit.at_commit(statements.INSERT, rows[0] if len(rows) == 1 else rows)  # one alone needs no savepoint
        if owed.is_for_others:
            self._database.announce(unit)
        unit.after_commit(lambda: self._committed(owed, published))

    def _sendable(self, envelope: Envelope) -> str:
        """The event's JSON; raises MisuseError for one that no process would take: it would fail there each time."""
        body = write_json(envelope)
        if (refusal := self._sendable_to_all.refusal(envelope.type, body)) is not None:
            raise MisuseError(refusal)
        if (length := len(envelope.subject.encode())) > LONGEST:
            raise MisuseError(
                f"{envelope.type}: its key has {length} bytes, and {LONGEST} is the most; let it be an id, or a hash"
            )
        if not is_sayable(envelope.subject):
            # A database may take none, and who hears of it over a broker refuses such a subject.
            raise MisuseError(f"{envelope.type}: its key has a control character; let it be an id, or a hash")
        return body.decode()

    def _has_room(self, subscriber: str, key: str) -> bool:
        """Whether this process takes a row from the disk right after its commit."""
        return self.courier is not None and self.courier.has_room(subscriber, key)

    @property
    def listeners(self) -> list[Callable[[], None]]:
        """Whom another process's announcement of rows calls."""
        return self._database.listeners

    async def _is_accepted(self, unit: UnitOfWork, subscriber: str, key: str, owed: _Owed) -> bool:
        """Whether the relay takes a row from memory: no earlier event of its key is in other hands."""
        courier, place, asked = self.courier, (subscriber, key), owed.asked
        if courier is None:
            return False
        if place in asked:  # as the row before it in this transaction: it must not overtake that
            return asked[place]
        if courier.accepts(subscriber):
            return True
        if not courier.has_room(subscriber, key):
            asked[place] = False
        elif not key:
            return True
        elif self._side_by_side or not owed.asks or len(asked) >= _ASKED:
            asked[place] = False
        else:
            # Nobody else writes until this transaction ends, so the answer stands when its rows are there.
            found = await unit.fetch_value(claim_statements.IS_BEHIND, self._where(subscriber) | {"of_key": key})
            asked[place] = found is None
        return asked[place]

    def _committed(self, owed: _Owed, published: list[Published]) -> None:
        # Only now: what was rolled back must not be delivered, and a fact of it would be a lie.
        if self.observers:
            for fact in published:
                emit(self.observers, fact)
        if self.courier is None:
            return
        for subscriber in owed.left:
            self.courier.fetch_soon(subscriber)
        self.courier.take(owed.taken)

    async def subscribers(self) -> list[str]:
        """Everyone for whom a row is free."""
        found: list[str] = []
        after = ""
        while (name := await self._database.fetch_value(statements.NEXT_SUBSCRIBER, {"after": after})) is not None:
            found.append(name)
            after = name
        return found

    async def claim(
        self, subscriber: str, after: str | None, *, turns: int, run: int, unkeyed: int, regardless: bool = False
    ) -> Claim:
        """Take over rows that no replica holds: up to `run` of each of the next `turns` keys, oldest first.

        The keys come after the key `after`, None for the first ones; up to `unkeyed` rows without a key come before.
        Keys of which another replica holds rows are passed over. Nothing is taken while another replica claims, unless
        `regardless` of it.
        """
        which = {"whose": subscriber, "after": after or "", "turns": turns}
        how_many = {"me": self.lease.member, "done": -1 if after is None else 0, "run": run, "unkeyed": unkeyed}
        if self._side_by_side:
            return await self._claim_beside(subscriber, which | how_many | {"regardless": regardless})
        # In one transaction: what has been committed since then is told to the relay after this answer.
        async with self._database.unit() as unit:
            last = unit.fetch_at_commit(claim_statements.LAST_TURN, which, into=_LastTurn)
            rows = unit.fetch_at_commit(claim_statements.CLAIM, which | how_many, into=_Claimed)
            left = unit.fetch_at_commit(claim_statements.ANY_FREE, {"whose": subscriber}, into=int)
        [turn] = last
        return Claim(self._deliveries(subscriber, rows), turn.key, turn.is_end, turn.is_end and not left)

    async def _claim_beside(self, subscriber: str, values: dict[str, Any]) -> Claim:
        async with self._database.unit() as unit:
            rows = unit.fetch_at_commit(claim_statements.CLAIM_SIDE_BY_SIDE, values, into=_Seen)
        seen = rows[0]
        deliveries = self._deliveries(subscriber, [each for each in rows if each.seq])
        is_all = None if seen.is_end else False
        return Claim(deliveries, seen.last_key, seen.is_end, is_all, has_turn=seen.is_open)

    async def has_free(self, subscriber: str) -> bool:
        """Whether a row of the subscriber is held by no replica."""
        return await self._database.fetch_value(claim_statements.FIRST_FREE, {"whose": subscriber}) is not None

    def _deliveries(self, subscriber: str, rows: Sequence[_Claimed]) -> list[Delivery]:
        since = self._clock.steady() - self._clock.now().timestamp()  # from the time of day as it is shown now
        return [
            Delivery(
                each.event_id, subscriber, each.type, each.key, each.body, each.created + since, each.attempts,
                each.due_at + since, crashes=each.crashes or 0,
            )
            for each in sorted(rows, key=attrgetter("seq"))
        ]  # fmt: skip

    def _where(self, subscriber: str) -> dict[str, Any]:
        return {"whose": subscriber, "me": self.lease.member}

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Forget what was acknowledged: in one transaction, but for what another replica has taken over meanwhile."""
        mine = [_name(each) | {"me": self.lease.member} for each in deliveries]
        if (await self._database.execute(statements.DROP, mine)).rowcount < len(mine):
            await self._database.execute(statements.REMOVE, [_name(each) for each in deliveries])

    async def postpone(self, delivery: Delivery, delay: float, error: str) -> None:
        """Record why a delivery waits, and that the next attempt is due after so many seconds."""
        due = self._clock.now().timestamp() + delay
        values = self._failed(delivery, delivery.attempts, error) | {"due": due}
        await self._database.execute(statements.POSTPONE, values)

    async def suspect(self, delivery: Delivery, crashes: int, reason: str | None = None) -> None:
        """Record before an attempt how many processes will have ended under it if this one does, and why it waited."""
        values = _name(delivery) | {"me": self.lease.member, "ends": crashes}
        if reason is None:
            await self._database.execute(statements.SUSPECT, values)
        else:
            await self._database.execute(statements.SUSPECT_ALONE, values | {"reason": reason})

    async def dead_letter(self, delivery: Delivery, attempts: int, error: str) -> None:
        """Make the row a dead letter."""
        async with self._database.unit() as unit:
            unit.at_commit(statements.BURY, self._failed(delivery, attempts, error))
            unit.at_commit(statements.DROP, _name(delivery) | {"me": self.lease.member})

    async def release(self) -> None:
        """Let go of every row that this replica holds."""
        await self._free(self.lease.member, statements.RELEASE)

    async def clear_up(self) -> None:
        """Let go of every row that a replica held which lives no more."""
        while (dead := await self._database.fetch_value(claim_statements.DEAD_HOLDER)) is not None:
            # What this process held under an earlier number ended no process.
            await self._free(dead, statements.RELEASE if dead in self.lease.former else statements.INHERIT)

    async def _free(self, member: int, statement: Executable) -> None:
        # In pieces: a replica holds many rows, and writers wait for each piece alone.
        values = {"me": member, "count": _PIECE}
        while (await self._database.execute(statement, values)).rowcount == _PIECE:
            pass

    def has_room_for(self, subscriber: str) -> bool:
        """Whether this process has room in memory for any event of the subscriber."""
        return self.courier is not None and self.courier.accepts(subscriber)

    async def owed_to(self, subscriber: str) -> int:
        """How many events wait for the subscriber."""
        return int(await self._database.fetch_value(statements.OWED, {"whose": subscriber}))

    async def depth(self) -> list[Depth]:
        """What waits to be delivered, and for a person, by subscriber."""
        return [
            each
            for statement in (statements.PENDING, statements.DEAD)
            for each in await self._database.fetch_all(statement, into=Depth)
        ]

    def _failed(self, delivery: Delivery, attempts: int, error: str) -> dict[str, Any]:
        return _name(delivery) | {"me": self.lease.member, "failed": attempts, "reason": error}


def _name(delivery: Delivery) -> dict[str, Any]:
    """A row by what was known of it before it was written."""
    return {"event": delivery.event_id, "of_subscriber": delivery.subscriber, "of_key": delivery.key}
