"""The outbox: events become rows in the transaction that publishes them, one for each subscriber."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from meristem.context import current
from meristem.events import statements
from meristem.events.cloudevents import read_json, write_json
from meristem.events.envelope import Envelope, enclose
from meristem.events.facts import Observer, Published, emit

if TYPE_CHECKING:
    from meristem.clock import Clock
    from meristem.storage.database import Database
    from meristem.storage.lease import Lease
    from meristem.storage.unit import UnitOfWork


class Delivery(msgspec.Struct, gc=False):
    """One row of the outbox in the hands of a relay: an event that is owed to a subscriber.

    `body` is the envelope, or its JSON where it came from disk; times are seconds since the epoch. `is_new` while it
    has been in the memory of the process that committed it, and no subscriber was handed it.
    """

    event_id: str
    subscriber: str
    type: str
    key: str
    body: Envelope | str
    created: float
    attempts: int
    due_at: float
    is_new: bool = False

    def open(self) -> Envelope:
        """The envelope; raises Undeliverable for a row that can't be read."""
        return self.body if isinstance(self.body, Envelope) else read_json(self.body)


class Depth(msgspec.Struct, frozen=True):
    """How many events of a state (pending, dead) a subscriber has, and when the oldest was published.

    That is in seconds since the epoch.
    """

    subscriber: str
    state: str
    count: int
    oldest: float


class Courier(Protocol):
    """Delivers what the outbox holds: the relay of this process."""

    def accepts(self, subscriber: str) -> bool:
        """Whether a new event of this subscriber may go to it from memory."""
        ...

    def take(self, deliveries: Iterable[Delivery]) -> None:
        """Deliver what has just been committed, or claimed."""
        ...

    def fetch_soon(self, subscriber: str) -> None:
        """Something for this subscriber is on disk only."""
        ...


class _Claimed(msgspec.Struct):
    seq: int
    event_id: str
    subscriber: str
    type: str
    key: str
    body: str
    created: float
    attempts: int
    due_at: float


class Outbox:
    """Writes what a unit of work published in its own commit, and hands it to the relay once that stands.

    `source` names the publisher (`//hotels/payments`), `destinations` says to whom an event type is owed. Rows
    that the relay has in memory are stamped with this replica's number under the `lease`.
    """

    def __init__(
        self,
        database: Database,
        source: str,
        destinations: Callable[[str], Sequence[str]],
        clock: Clock,
        lease: Lease,
    ) -> None:
        self.source = source
        self.lease = lease
        self.observers: list[Observer] = []
        self.courier: Courier | None = None
        self._database = database
        self._claiming = statements.CLAIM_SIDE_BY_SIDE if database.writes_side_by_side else statements.CLAIM
        self._destinations = destinations
        self._clock = clock

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
        context, now = current(), self._clock.now()
        rows: list[dict[str, Any]] = []
        deliveries: list[Delivery] = []
        published: list[Published] = []
        for event in unit.published:
            destinations = self._destinations(event.event_type)
            published.append(Published(event.event_type, len(destinations)))
            if destinations:
                envelope = enclose(event, self.source, now, context)
                deliveries += self._owe(envelope, destinations, now.timestamp(), rows)
        if rows:
            unit.at_commit(statements.INSERT, rows[0] if len(rows) == 1 else rows)  # one alone needs no savepoint
        unit.after_commit(lambda: self._committed(deliveries, published))

    def _owe(
        self, envelope: Envelope, destinations: Sequence[str], now: float, rows: list[dict[str, Any]]
    ) -> Iterator[Delivery]:
        body = write_json(envelope).decode()  # once for all subscribers
        for subscriber in destinations:
            # Asked for each row before it is written, because the row says whose it is: one that the relay takes from
            # memory is held by this replica, any other is free for whichever looks first.
            accepted = self.courier is not None and self.courier.accepts(subscriber)
            rows.append(
                {
                    "event_id": envelope.id,
                    "subscriber": subscriber,
                    "type": envelope.type,
                    "key": envelope.subject,
                    "body": body,
                    "created": now,
                    "member": self.lease.member if accepted else None,
                }
            )
            yield Delivery(
                envelope.id, subscriber, envelope.type, envelope.subject, envelope, now, 0, now, is_new=accepted
            )

    def _committed(self, deliveries: list[Delivery], published: list[Published]) -> None:
        # Only now: what was rolled back must not be delivered, and a fact of it would be a lie.
        if self.observers:
            for fact in published:
                emit(self.observers, fact)
        if self.courier is None:
            return
        for each in deliveries:
            if not each.is_new:
                self.courier.fetch_soon(each.subscriber)
        self.courier.take(each for each in deliveries if each.is_new)

    async def subscribers(self) -> list[str]:
        """Everyone for whom a row waits."""
        found: list[str] = []
        after = ""
        while (name := await self._database.fetch_value(statements.NEXT_SUBSCRIBER, {"after": after})) is not None:
            found.append(name)
            after = name
        return found

    async def has_free(self, subscriber: str) -> bool:
        """Whether rows wait that `claim` would take."""
        return await self._database.fetch_value(statements.CLAIMABLE, self._claim(subscriber, 1)) is not None

    async def claim(self, subscriber: str, count: int) -> list[Delivery]:
        """Take over up to `count` rows that no live replica holds, oldest first, and none before its turn."""
        async with self._database.unit() as unit:
            rows = await unit.fetch_all(self._claiming, self._claim(subscriber, count), into=_Claimed)
        rows.sort(key=lambda row: row.seq)
        return [
            Delivery(
                each.event_id, subscriber, each.type, each.key, each.body, each.created, each.attempts, each.due_at
            )
            for each in rows
        ]

    def _claim(self, subscriber: str, count: int) -> dict[str, Any]:
        return {"whose": subscriber, "me": self.lease.member, "count": count}

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        """Forget what was acknowledged, all of it in one transaction."""
        values = [{"event": each.event_id, "of_subscriber": each.subscriber} for each in deliveries]
        await self._database.execute(statements.REMOVE, values)

    async def postpone(self, delivery: Delivery, error: str) -> None:
        """Record a failed attempt and when the next is due."""
        values = self._failed(delivery, delivery.attempts, error) | {"due": delivery.due_at}
        await self._database.execute(statements.POSTPONE, values)

    async def dead_letter(self, delivery: Delivery, attempts: int, error: str) -> None:
        """Make the row a dead letter."""
        await self._database.execute(statements.DEAD_LETTER, self._failed(delivery, attempts, error))

    async def release(self) -> None:
        """Let go of every row that this replica holds."""
        await self._database.execute(statements.RELEASE, {"me": self.lease.member})

    async def depth(self) -> list[Depth]:
        """What waits to be delivered, and for a person, by subscriber."""
        return await self._database.fetch_all(statements.DEPTH, into=Depth)

    def _failed(self, delivery: Delivery, attempts: int, error: str) -> dict[str, Any]:
        where = {"event": delivery.event_id, "of_subscriber": delivery.subscriber, "me": self.lease.member}
        return where | {"failed": attempts, "reason": error}
