"""Reads the stream of events for one service: what it has not had yet, and what was kept of before.

The service's own database says how far it has read, in the same commit in which it keeps what it read. So nothing is
acknowledged to the server, nothing is redelivered by it, and no event overtakes another one of its key.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from meristem.errors import OperationError, Undeliverable
from meristem.events.beginnings import of_type
from meristem.events.bus_positions import ReadSoFar
from meristem.events.cloudevents import WireEvent, from_headers, from_message
from meristem.events.delivery import Unreadable

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext
    from nats.js.api import StreamState

    from meristem.events.brokers.broker import Queue
    from meristem.events.brokers.link import Link
    from meristem.events.bus_positions import BusPositions, Replay
    from meristem.events.envelope import Envelope
    from meristem.events.incoming_events import Incoming

logger: Final = logging.getLogger("meristem.events")

HEADERS: Final = "ce-"  # CloudEvents' NATS binding 1.0.3, section 3.1.3
_ANSWERED: Final = 5.0  # seconds for the server to give the first of what it has
_BATCH: Final = 500
_WAIT: Final = 5.0  # seconds of one request for events; then it is seen whether the server still knows the reader
_UNUSED: Final = 60.0  # seconds after which the server forgets a reader that is gone


class StreamReader:
    """One service at the stream of the name `stream`, whose numbers mean nothing in another one than `origin`.

    `mark` tells where a service begins that has never read, and a type that it has never heard.
    """

    def __init__(
        self,
        jetstream: JetStreamContext,
        link: Link,
        stream: str,
        origin: str,
        queue: Queue,
        mark: Callable[[str], Awaitable[str]],
    ) -> None:
        self._jetstream = jetstream
        self._link = link
        self._stream = stream
        self._origin = origin
        self._queue = queue
        self._mark = mark

    async def take(self, incoming: Incoming) -> None:
        """Have what comes stored among the incoming; returns where it is to be begun anew."""
        position = await self._begin(incoming)
        await self._tell_of_gap(position)
        apart = await incoming.beginnings.apart(self._origin, self._queue.types)
        starts = {event_type: int(start) for event_type, start in apart.items()}
        behind = {event_type: start for event_type, start in starts.items() if start < position}
        if not await self._catch_up(incoming, behind, position):
            return
        starts = await self._reached(incoming, starts, position)
        async with self._reading(self._queue.types, position) as reader:
            count = 0
            while True:
                await incoming.room()
                try:
                    messages = await reader.fetch(_BATCH, timeout=_WAIT)
                except TimeoutError:  # the client's own, or a bare one
                    # What came since is for others, and so far the service is as well.
                    messages, last = [], max((await self._state()).last_seq, position)
                    info = await reader.consumer_info()  # raises if the server has forgotten it
                    if info.num_pending or info.delivered is None or info.delivered.consumer_seq != count:
                        last = position
                else:
                    if _lacks_some(messages, count):
                        return
                    last = messages[-1].metadata.sequence.stream
                count += len(messages)
                arrived = [
                    event
                    for each in messages
                    if each.metadata.sequence.stream > starts.get(self._type(each), 0)
                    and (event := self._read(each)) is not None
                ]
                was, position = position, last
                if not await incoming.store(arrived, ReadSoFar(self._origin, str(position), str(was))):
                    return
                starts = await self._reached(incoming, starts, position)

    async def _reached(self, incoming: Incoming, starts: dict[str, int], position: int) -> dict[str, int]:
        """The starts that are still ahead; that the others were is forgotten."""
        ahead = {event_type: start for event_type, start in starts.items() if start > position}
        await incoming.beginnings.end(self._origin, starts.keys() - ahead.keys())
        return ahead

    async def _begin(self, incoming: Incoming) -> int:
        queue, beginnings = self._queue, incoming.beginnings
        known = await incoming.position(self._origin)
        starts = {
            each: (of_type(self._origin, each), "0" if each in queue.first else await self._mark(mark_of(queue, each)))
            for each in await beginnings.fresh(queue.service, queue.types)
        }
        await beginnings.begin(queue.service, queue.types, queue.first, starts)
        if known is None:
            known = await incoming.begin(ReadSoFar(self._origin, await self._mark(queue.name)))
        passed_over = {of_type(self._origin, each): known for each in await beginnings.heard() - queue.types}
        await beginnings.pass_over(passed_over)
        return int(known)

    async def _catch_up(self, incoming: Incoming, behind: dict[str, int], until: int) -> bool:
        """Take in what is kept of the types with which the service is behind, up to where it is with the others."""
        if not behind:
            return True
        async with self._reading(behind, min(behind.values())) as reader:
            left, count = (await reader.consumer_info()).num_pending or 0, 0
            while left and min(behind.values()) < until:
                await incoming.room()
                messages = await reader.fetch(_BATCH, timeout=_WAIT)
                if _lacks_some(messages, count):
                    return False
                count += len(messages)
                left, last = messages[-1].metadata.num_pending, min(messages[-1].metadata.sequence.stream, until)
                # Of each type what comes after where it is; the rest it has had, or will have with all others.
                due = [
                    each
                    for each in messages
                    if behind.get(self._type(each), until) < each.metadata.sequence.stream <= until
                ]
                arrived = [event for each in due if (event := self._read(each)) is not None]
                moved = [
                    ReadSoFar(of_type(self._origin, name), str(last), str(was))
                    for name, was in behind.items()
                    if was < last
                ]
                if not await incoming.store(arrived, *moved):
                    return False
                behind = {name: max(was, last) for name, was in behind.items()}
        return True

    async def _state(self) -> StreamState:
        return (await self._jetstream.stream_info(self._stream)).state

    def _type(self, message: Msg) -> str:
        return message.subject.removeprefix(f"{self._stream}.")

    def _read(self, message: Msg) -> Envelope | Unreadable | None:
        event_type = self._type(message)
        if event_type not in self._queue.types:
            return None
        try:
            headers = message.headers or {}
            content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
            return from_message(WireEvent(content_type, from_headers(headers, HEADERS), message.data))
        except Undeliverable as error:
            place = f"{self._origin} {message.metadata.sequence.stream}"
            return Unreadable.at(place, event_type, message.data, str(error))

    async def _tell_of_gap(self, position: int) -> None:
        """Say so where the stream has given up events that the service has not read."""
        first = (await self._state()).first_seq
        if position + 1 < first:
            logger.error(
                "%s was away for longer than the stream %s keeps events: those from %d to %d are gone; let it keep "
                "them longer (its max_age, which ?keep= says where it is made)",
                self._queue.service, self._stream, position + 1, first - 1,
            )  # fmt: skip

    async def lag(self, positions: BusPositions) -> int:
        """How many events a reader would find that begins now; also where another replica reads."""
        queue = self._queue
        known = await positions.position(self._origin)
        position = int(known if known is not None else await self._mark(queue.name))
        apart = dict.fromkeys(await positions.beginnings.fresh(queue.service, queue.first), "0")
        apart |= await positions.beginnings.apart(self._origin, queue.types)
        count = await self._count(queue.types, position)
        for each, start in apart.items():
            count += await self._count([each], int(start)) - await self._count([each], position)
        return count

    async def _count(self, types: Collection[str], position: int) -> int:
        async with self._reading(types, position) as reader:
            return (await reader.consumer_info()).num_pending or 0

    async def rewind(self, positions: BusPositions, past: Replay) -> str:
        """Have events taken in again; returns from where, as people read it."""
        queue = self._queue
        async with self._reading(queue.types, (past.position or 1) - 1, past.since) as reader:
            try:
                [first] = await reader.fetch(1, timeout=_ANSWERED)
            except TimeoutError:
                text = f"the stream {self._stream} keeps no event for {queue.service} from there on"
                raise OperationError(text) from None
        begins, at = first.metadata.sequence.stream, first.metadata.timestamp
        if past.again:
            await positions.forget(queue.service, at.timestamp())
        await positions.rewind(ReadSoFar(self._origin, str(begins - 1)))
        apart = await positions.beginnings.apart(self._origin, queue.types)
        await positions.beginnings.end(self._origin, [name for name, start in apart.items() if int(start) >= begins])
        return f"position {begins} of the stream {self._stream}, of {at.astimezone(UTC).isoformat(' ', 'seconds')}"

    @asynccontextmanager
    async def _reading(
        self, types: Collection[str], position: int, since: datetime | None = None
    ) -> AsyncIterator[JetStreamContext.PullSubscription]:
        # One filter at most before NATS 2.10, and one reader keeps the order: what others hear is passed over here.
        [only, *more] = sorted(types)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if since is None else DeliverPolicy.BY_START_TIME,
            opt_start_seq=position + 1 if since is None else None,
            opt_start_time=since,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=_UNUSED,
            mem_storage=True,
            num_replicas=1,
            description=self._queue.name,
        )
        subject = f"{self._stream}.>" if more else f"{self._stream}.{only}"
        reader = await self._jetstream.pull_subscribe(subject, stream=self._stream, config=config)
        try:
            yield reader
        finally:
            # A server that is away forgets it by itself.
            with suppress(NatsError, TimeoutError, ConnectionError):
                async with self._link.held():
                    name = (await reader.consumer_info()).name
                    await reader.unsubscribe()
                    await self._jetstream.delete_consumer(self._stream, name)


def mark_of(queue: Queue, event_type: str) -> str:
    """The name of the mark that says where a service begins to which an event type is new."""
    # A bucket's keys are ASCII, and the name of a class need not be.
    return f"{queue.name}/" + "".join(each if each.isascii() else f"={ord(each):x}" for each in event_type)


def _lacks_some(messages: list[Msg], count: int) -> bool:
    """Whether events were lost on their way: it is to be begun anew after the last that was kept."""
    return any(each.metadata.sequence.consumer != count + number for number, each in enumerate(messages, 1))
