"""NATS JetStream: one stream for all events, which each service reads at its own pace.

The service's own database says how far it has read, in the same commit in which it keeps what it read. So nothing is
acknowledged to the server, nothing is redelivered by it, and no event overtakes another one of its key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, KeyWrongLastSequenceError, NotFoundError

from meristem.errors import ConfigurationError, OperationError, Undeliverable
from meristem.events.brokers.address import BusAddress, count, read_address, seconds
from meristem.events.brokers.broker import BrokerBus, Queue
from meristem.events.brokers.link import Link
from meristem.events.bus_positions import ReadSoFar
from meristem.events.cloudevents import WireEvent, from_headers, from_message, to_headers, to_message
from meristem.events.delivery import Unreadable

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from meristem.events.bus_positions import BusPositions, Replay
    from meristem.events.envelope import Envelope
    from meristem.events.incoming_events import Incoming

logger: Final = logging.getLogger("meristem.events")

_OPTIONS: Final = ("keep", "replicas")
_HEADERS: Final = "ce-"  # CloudEvents' NATS binding 1.0.3, section 3.1.3
_REACHED: Final = 3.0  # seconds for one attempt to connect
_CONFIRMED: Final = 5.0  # seconds for the server to say that it has an event
_SOON: Final = 0.05  # seconds until a server that has just returned is asked again
_BATCH: Final = 500
_WAIT: Final = 5.0  # seconds of one request for events; then it is seen whether the server still knows the reader
_UNUSED: Final = 60.0  # seconds after which the server forgets a reader that is gone
_REPEATED: Final = 120.0  # seconds in which the server knows a repeated event by its id


def open_bus(url: str, *, system: str) -> BrokerBus:
    """The bus of `nats://user:password@host:4222?prefix=meristem`.

    `keep=30d` is how long the stream keeps an event, `replicas=1` how many servers have it, `mode=structured` how it
    is written. They hold where the stream is made; one that is there already stays as it is.
    """
    return BrokerBus(NatsBroker(read_address(url, _OPTIONS), system), system=system)


class NatsBroker:
    """A connection to NATS, and the stream of events there."""

    name = "nats"
    rewinds_at_rest = False  # the reader sees it: how far it is, is a row that says what it was

    def __init__(self, address: BusAddress, system: str) -> None:
        self._address = address
        self._system = system
        self._keep = seconds(address.options, "keep", "30d")
        self._replicas = count(address.options, "replicas", 1)
        self._stream = address.prefix
        self._client: Client | None = None
        self._js: JetStreamContext | None = None
        self._link = Link()
        self._returning: asyncio.Task[None] | None = None
        self._origin = ""  # the stream's name and when it was made: its numbers mean nothing in another one

    async def connect(self, queues: Sequence[Queue], changed: Callable[[bool], None]) -> None:
        async def broken() -> None:
            self._link.break_off()

        async def again() -> None:
            self._returning = asyncio.create_task(self._return(queues, changed))

        failures: list[Exception] = []

        async def failed(error: Exception) -> None:
            failures[:] = [error]

        client = Client()
        try:
            async with asyncio.timeout(_REACHED):
                await client.connect(
                    self._address.url,
                    name=f"meristem {self._system}",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    disconnected_cb=broken,
                    reconnected_cb=again,
                    error_cb=failed,
                )
        except TimeoutError:
            await client.close()
            raise failures[0] if failures else TimeoutError(f"no answer within {_REACHED:g} s") from None
        self._client = client
        self._js = self._client.jetstream(timeout=_CONFIRMED)
        await self._prepare(queues)
        self._link.stand()

    async def _return(self, queues: Sequence[Queue], changed: Callable[[bool], None]) -> None:
        """Tell of a server that is there again: when its JetStream is, which may be a moment later, or never."""
        until = monotonic() + _REACHED
        while monotonic() < until:
            try:
                await self._prepare(queues)
            except (NatsError, TimeoutError):
                await asyncio.sleep(_SOON)
            else:
                self._link.stand()
                changed(True)
                return
        changed(False)

    async def _prepare(self, queues: Sequence[Queue]) -> None:
        """Make what is missing; also after a server came back, which may have lost its disk."""
        await self._make_stream()
        marks = await self._marks()
        last = (await self._jetstream.stream_info(self._stream)).state.last_seq
        for queue in queues:
            # Where a service begins that has never read: after what was there before the system knew it.
            with suppress(KeyWrongLastSequenceError):
                await marks.create(queue.name, str(last).encode())

    async def _make_stream(self) -> None:
        js = self._jetstream
        try:
            info = await js.stream_info(self._stream)
        except NotFoundError:
            made = StreamConfig(
                name=self._stream,
                subjects=[f"{self._stream}.>"],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                discard=DiscardPolicy.NEW,  # a full stream refuses, and the outbox waits
                max_age=self._keep,
                num_replicas=self._replicas,
                duplicate_window=min(_REPEATED, self._keep),
            )
            try:
                info = await js.add_stream(made)
            except BadRequestError as error:
                raise ConfigurationError(f"the stream {self._stream} can't be made: {error.description}") from error
        self._origin = f"nats:{self._stream}@{info.created}"

    async def _marks(self) -> Any:
        bucket = f"{self._stream}-readers"
        try:
            return await self._jetstream.key_value(bucket)
        except NotFoundError:
            return await self._jetstream.create_key_value(bucket=bucket, replicas=self._replicas)

    @property
    def _jetstream(self) -> JetStreamContext:
        assert self._js is not None  # connected
        return self._js

    async def send(self, envelope: Envelope) -> None:
        content_type, attributes, body = to_message(envelope, binary=self._address.binary)
        headers = {"Nats-Msg-Id": f"{envelope.origin} {envelope.id}", **to_headers(attributes, _HEADERS)}
        if not attributes:  # here it says that this is the whole event, and nothing of its data
            headers["Content-Type"] = content_type
        subject = f"{self._stream}.{envelope.type}"
        try:
            async with self._link.held():
                await self._jetstream.publish(subject, body, timeout=_CONFIRMED, headers=headers)
        except MaxPayloadError:
            limit = self._client.max_payload if self._client is not None else 0
            raise Undeliverable(
                f"{envelope.type} has {len(body)} bytes, and NATS takes {limit} at most (its option max_payload)"
            ) from None

    async def take(self, queue: Queue, incoming: Incoming) -> None:
        await self._link.wait()
        async with self._link.held():
            await self._take(queue, incoming)

    async def _take(self, queue: Queue, incoming: Incoming) -> None:
        position = await self._begin(queue, incoming)
        await self._tell_of_gap(queue, position)
        reader = await self._reader(queue, position)
        try:
            count = 0
            while True:
                await incoming.room()
                try:
                    messages = await reader.fetch(_BATCH, timeout=_WAIT)
                except NatsTimeout:
                    await reader.consumer_info()  # raises if the server has forgotten it
                    if await incoming.position(self._origin) != str(position):
                        return  # it is to be read again from another one
                    continue
                arrived = []
                for each in messages:
                    count += 1
                    if each.metadata.sequence.consumer != count:
                        return  # a batch was lost on its way: begin anew after the last that was kept
                    if (event := self._read(each, queue)) is not None:
                        arrived.append(event)
                was, position = position, messages[-1].metadata.sequence.stream
                if not await incoming.store(arrived, ReadSoFar(self._origin, str(position), str(was))):
                    return
        finally:
            await self._forget(reader)

    def _read(self, message: Msg, queue: Queue) -> Envelope | Unreadable | None:
        event_type = message.subject.removeprefix(f"{self._stream}.")
        if event_type not in queue.types:
            return None
        try:
            headers = message.headers or {}
            content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
            return from_message(WireEvent(content_type, from_headers(headers, _HEADERS), message.data))
        except Undeliverable as error:
            place = f"{self._origin} {message.metadata.sequence.stream}"
            return Unreadable.at(place, event_type, message.data, str(error))

    async def _begin(self, queue: Queue, positions: BusPositions) -> int:
        known = await positions.position(self._origin)
        if known is None:
            mark = await (await self._marks()).get(queue.name)
            known = await positions.begin(ReadSoFar(self._origin, mark.value.decode()))
        return int(known)

    async def _tell_of_gap(self, queue: Queue, position: int) -> None:
        """Say so where the stream has given up events that the service has not read."""
        first = (await self._jetstream.stream_info(self._stream)).state.first_seq
        if position + 1 < first:
            logger.error(
                "%s was away for longer than the stream %s keeps events: those from %d to %d are gone; let it keep "
                "them longer (its max_age, which ?keep= says where it is made)",
                queue.service, self._stream, position + 1, first - 1,
            )  # fmt: skip

    async def _reader(
        self, queue: Queue, position: int, since: datetime | None = None
    ) -> JetStreamContext.PullSubscription:
        # One filter at most before NATS 2.10, and one reader keeps the order: what others hear is passed over here.
        [only, *more] = sorted(queue.types)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE if since is None else DeliverPolicy.BY_START_TIME,
            opt_start_seq=position + 1 if since is None else None,
            opt_start_time=since,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=_UNUSED,
            mem_storage=True,
            num_replicas=1,
            description=queue.name,
        )
        subject = f"{self._stream}.>" if more else f"{self._stream}.{only}"
        return await self._jetstream.pull_subscribe(subject, stream=self._stream, config=config)

    async def lag(self, queue: Queue, positions: BusPositions) -> int:
        # As a reader would find it that begins now; also where another replica reads.
        async with self._link.held():
            reader = await self._reader(queue, await self._begin(queue, positions))
            try:
                return (await reader.consumer_info()).num_pending or 0
            finally:
                await self._forget(reader)

    async def rewind(self, queue: Queue, positions: BusPositions, past: Replay) -> str:
        reader = await self._reader(queue, (past.position or 1) - 1, past.since)
        try:
            [first] = await reader.fetch(1, timeout=_CONFIRMED)
        except NatsTimeout:
            raise OperationError(
                f"the stream {self._stream} keeps no event for {queue.service} from there on"
            ) from None
        finally:
            await self._forget(reader)
        begins, at = first.metadata.sequence.stream, first.metadata.timestamp
        if past.again:
            await positions.forget(queue.service, at.timestamp())
        await positions.rewind(ReadSoFar(self._origin, str(begins - 1)))
        return f"position {begins} of the stream {self._stream}, of {at.astimezone(UTC).isoformat(' ', 'seconds')}"

    async def _forget(self, reader: JetStreamContext.PullSubscription) -> None:
        # A server that is away forgets it by itself.
        with suppress(NatsError, TimeoutError, ConnectionError):
            async with self._link.held():
                name = (await reader.consumer_info()).name
                await reader.unsubscribe()
                await self._jetstream.delete_consumer(self._stream, name)

    async def close(self) -> None:
        self._link.break_off()
        returning, self._returning = self._returning, None
        if returning is not None:
            returning.cancel()
        client, self._client, self._js = self._client, None, None
        if client is not None:
            await client.close()
