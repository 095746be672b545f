"""Reads the topics of one service's events: what its group has not had yet, and what was kept of before.

One replica of a service reads all partitions under the lease, by assignment: nothing waits for a group to come to
terms, and another replica goes on at once. The offsets are the group's, so that Kafka's own tools show how far it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from meristem.errors import ConfigurationError, Undeliverable
from meristem.events.beginnings import of_type
from meristem.events.bus_positions import ReadSoFar
from meristem.events.cloudevents import WireEvent, from_message
from meristem.events.delivery import Unreadable
from meristem.events.envelope import Envelope

if TYPE_CHECKING:
    from confluent_kafka import Message as Record

    from meristem.events.brokers.broker import Queue
    from meristem.events.bus_positions import BusPositions, Replay
    from meristem.events.incoming_events import Incoming

HEADERS: Final = "ce_"  # CloudEvents' Kafka binding 1.0.2, section 3.2.4
REACHED: Final = 3.0  # seconds for one question to a broker
TURN: Final = 0.2  # seconds of a thread's turn in the client
_LINGER: Final = 0.01  # seconds for more events to come along with the first one
_BATCH: Final = 500


class GroupReader:
    """One service at its topics; `group` answers how far it is, `run` does in a thread what blocks.

    A reader of its own takes the events: a question would wait behind a request for them, which the broker answers when
    there are some. `topic` gives that of an event type, `origin` names where all of them are.
    """

    def __init__(
        self,
        run: Callable[..., Awaitable[Any]],
        settings: dict[str, Any],
        group: Consumer,
        queue: Queue,
        topic: Callable[[str], str],
        origin: str,
    ) -> None:
        self._run = run
        self._settings = settings
        self._group = group
        self._queue = queue
        self._topic = topic
        self._origin = origin

    async def begin(self, made: Collection[str]) -> None:
        """Have the group begin where it has never been, before anything is published that it should hear.

        Of a topic that was just made it has all, of one that was there what comes.
        """
        _, fresh = await self._committed()
        for each in fresh:
            each.offset = 0 if each.topic in made else each.offset
        if fresh:
            await self._run(self._group.commit, offsets=fresh, asynchronous=False)

    async def take(self, incoming: Incoming) -> None:
        """Have what comes stored among the incoming."""
        begun = await self._begin(incoming)
        await self._catch_up(incoming, begun)
        reader = Consumer(self._settings)
        try:
            await self._run(reader.assign, begun)
            while True:
                await incoming.room()
                records = await self._some(reader)
                if not records:
                    continue
                for each in records:
                    if (failure := each.error()) is not None:
                        raise KafkaException(failure)
                await incoming.store([event for each in records if (event := self._read(each)) is not None])
                await self._run(self._group.commit, offsets=_ends(records), asynchronous=False)
        finally:
            await asyncio.shield(asyncio.to_thread(reader.close))  # may come after `close`

    async def _some(self, reader: Consumer) -> list[Record]:
        records: list[Record] = await self._run(reader.consume, 1, TURN)
        return records + await self._run(reader.consume, _BATCH, _LINGER) if records else []

    async def _begin(self, incoming: Incoming) -> list[TopicPartition]:
        """How far the group is in all that it hears; that is written down where it is new."""
        queue, beginnings = self._queue, incoming.beginnings
        known, _ = await self._committed()
        starts = {each: (of_type(self._origin, each), _written(await self._lows(each))) for each in queue.first}
        await beginnings.begin(queue.service, queue.types, queue.first, starts)
        for name in await beginnings.heard() - queue.types:
            if here := [each for each in known if each.topic == self._topic(name)]:
                await beginnings.pass_over({of_type(self._origin, name): _written(here)})
        return known

    async def _committed(self) -> tuple[list[TopicPartition], list[TopicPartition]]:
        """How far the group is in each partition; and those in which it has never been, where they begin for it."""
        known: list[TopicPartition] = []
        fresh: list[TopicPartition] = []
        for topic in self._topics:
            parts = await partitions(self._run, self._group, topic)
            found = await self._run(self._group.committed, parts, timeout=REACHED)
            unknown = [each for each in found if each.offset == OFFSET_INVALID]
            for each in unknown:
                # A partition that was added since is new with all that is in it; a topic begins with what comes.
                each.offset = 0 if len(unknown) < len(found) else (await self._bounds(each))[1]
            known += found
            fresh += unknown
        return known, fresh

    async def _lows(self, event_type: str) -> list[TopicPartition]:
        """The first that is kept in each partition that may hold events of a type."""
        parts = await partitions(self._run, self._group, self._topic(event_type))
        for each in parts:
            each.offset, _ = await self._bounds(each)
        return parts

    async def _bounds(self, part: TopicPartition) -> tuple[int, int]:
        """The first offset that is kept in a partition, and the one that comes next."""
        found: tuple[int, int] = await self._run(
            self._group.get_watermark_offsets, TopicPartition(part.topic, part.partition), timeout=REACHED
        )
        return found

    @property
    def _topics(self) -> list[str]:
        return sorted({self._topic(each) for each in self._queue.types})

    async def _catch_up(self, incoming: Incoming, begun: Sequence[TopicPartition]) -> None:
        """Take in what is kept of the types with which the service is behind, up to where it is with the others."""
        behind = await self._behind(incoming, begun)
        if not behind:
            return
        until = {(each.topic, each.partition): each.offset for each in begun}
        start: dict[tuple[str, int], int] = {}
        for had in behind.values():
            for place, offset in had.items():
                start[place] = min(offset, start.get(place, offset))
        reader = Consumer(self._settings | {"enable.partition.eof": True})
        open_ = {place for place, offset in start.items() if offset < until[place]}
        try:
            await self._run(reader.assign, [TopicPartition(*place, start[place]) for place in sorted(open_)])
            while open_:
                await incoming.room()
                records = []
                for each in await self._some(reader):
                    place = (str(each.topic()), each.partition() or 0)
                    if (failure := each.error()) is None:
                        records.append(each)
                    elif failure.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - so it is called
                        raise KafkaException(failure)
                    if failure is not None or (each.offset() or 0) + 1 >= until[place]:
                        open_.discard(place)
                await self._keep(incoming, records, behind, until)
        finally:
            await asyncio.shield(asyncio.to_thread(reader.close))
        await incoming.beginnings.end(self._origin, behind)

    async def _behind(
        self, positions: BusPositions, begun: Iterable[TopicPartition]
    ) -> dict[str, dict[tuple[str, int], int]]:
        """How far the service is in the past of each type with which it is behind, by partition."""
        found = await positions.beginnings.apart(self._origin, self._queue.types)
        behind: dict[str, dict[tuple[str, int], int]] = {}
        for name, written in found.items():
            had, topic = _read_offsets(written), self._topic(name)
            # A partition that was added since is new with all that is in it.
            here = [each.partition for each in begun if each.topic == topic]
            behind[name] = {(topic, each): had.get(each, 0) for each in here}
        return behind

    async def _keep(
        self,
        incoming: Incoming,
        records: Sequence[Record],
        behind: dict[str, dict[tuple[str, int], int]],
        until: dict[tuple[str, int], int],
    ) -> None:
        arrived: list[Envelope] = []
        for each in records:
            place, offset, event = (str(each.topic()), each.partition() or 0), each.offset() or 0, self._read(each)
            # What is no event is told of where it comes anew.
            if isinstance(event, Envelope) and behind.get(event.type, until)[place] <= offset < until[place]:
                arrived.append(event)
        moved = []
        ends = {(each.topic, each.partition): each.offset for each in _ends(records)}
        for name, had in behind.items():
            now = {place: max(offset, min(ends.get(place, 0), until[place])) for place, offset in had.items()}
            if now != had:
                moved.append(ReadSoFar(of_type(self._origin, name), _offsets(now), _offsets(had)))
                behind[name] = now
        if not await incoming.store(arrived, *moved):
            raise ConnectionError("how far it has caught up was changed meanwhile")

    def _read(self, record: Record) -> Envelope | Unreadable | None:
        headers = {name: _text(value) for name, value in dict(record.headers() or []).items()}
        attributes = {name.removeprefix(HEADERS): text for name, text in headers.items() if name.startswith(HEADERS)}
        body = record.value() or b""
        try:
            envelope = from_message(WireEvent(headers.get("content-type", ""), attributes, body))
        except Undeliverable as error:
            place = f"kafka {record.topic()} {record.partition()} {record.offset()}"
            return Unreadable.at(place, attributes.get("type", ""), body, str(error))
        return envelope if envelope.type in self._queue.types else None

    async def lag(self, positions: BusPositions) -> int:
        """How many events the group has not had; of those of before as many as their topics hold at the most."""
        known, _ = await self._committed()
        lag = 0
        for each in known:
            lag += (await self._bounds(each))[1] - each.offset
        until = {(each.topic, each.partition): each.offset for each in known}
        behind = await self._behind(positions, known)
        for name in await positions.beginnings.fresh(self._queue.service, self._queue.first):
            behind[name] = {(each.topic, each.partition): each.offset for each in await self._lows(name)}
        return lag + sum(max(until[place] - offset, 0) for had in behind.values() for place, offset in had.items())

    async def rewind(self, positions: BusPositions, past: Replay) -> str:
        """Have events taken in again; returns from where, as people read it."""
        if past.position is not None:
            raise ConfigurationError(
                "Kafka counts in each partition by itself: say from which time on, or from the first"
            )
        parts = [each for topic in self._topics for each in await partitions(self._run, self._group, topic)]
        if past.since is not None:
            for each in parts:
                each.offset = int(past.since.timestamp() * 1000)
            parts = await self._run(self._group.offsets_for_times, parts, timeout=REACHED)
        for each in parts:
            low, high = await self._bounds(each)
            each.offset = low if past.since is None else each.offset if each.offset >= 0 else high
        if past.again:
            await positions.forget(self._queue.service, 0.0 if past.since is None else past.since.timestamp())
        await self._run(self._group.commit, offsets=parts, asynchronous=False)
        begins = "the first event" if past.since is None else past.since.isoformat(" ", "seconds")
        return f"{begins} in {', '.join(self._topics)}"


async def partitions(run: Callable[..., Awaitable[Any]], group: Consumer, topic: str) -> list[TopicPartition]:
    """The partitions that a topic has."""
    found = (await run(group.list_topics, topic, timeout=REACHED)).topics[topic]
    return [TopicPartition(topic, each) for each in sorted(found.partitions)]


def _ends(records: Sequence[Record]) -> list[TopicPartition]:
    """Where each partition of the records goes on."""
    found = {(str(each.topic()), each.partition() or 0): (each.offset() or 0) + 1 for each in records}
    return [TopicPartition(topic, part, offset) for (topic, part), offset in found.items()]


def _written(parts: Iterable[TopicPartition]) -> str:
    return _offsets({(each.topic, each.partition): each.offset for each in parts})


def _offsets(places: dict[tuple[str, int], int]) -> str:
    """Offsets by partition, as a position is written: `0:17 1:4`."""
    return " ".join(f"{part}:{offset}" for (_, part), offset in sorted(places.items()))


def _read_offsets(written: str) -> dict[int, int]:
    return {int(part): int(offset) for part, _, offset in (each.partition(":") for each in written.split())}


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
