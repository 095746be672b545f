"""NATS JetStream: one stream for all events, which each service reads at its own pace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.api import (
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, KeyWrongLastSequenceError, NoStreamResponseError, NotFoundError

from meristem.errors import ConfigurationError, Undeliverable
from meristem.events.brokers.address import BusAddress, count, read_address, seconds
from meristem.events.brokers.broker import BrokerBus, Queue
from meristem.events.brokers.link import Link
from meristem.events.brokers.nats_reader import HEADERS, StreamReader, mark_of
from meristem.events.cloudevents import to_headers, to_message

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.api import StreamInfo

    from meristem.events.bus_positions import BusPositions, Replay
    from meristem.events.envelope import Envelope
    from meristem.events.incoming_events import Incoming

_OPTIONS: Final = ("keep", "replicas")
_REACHED: Final = 3.0  # seconds for one attempt to connect
_CONFIRMED: Final = 5.0  # seconds for the server to say that it has an event
_PING: Final = 5  # seconds between two questions whether the server is there; after three it is given up
_SOON: Final = 0.05  # seconds until a server that has just returned is asked again
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
        self._queues: Sequence[Queue] = ()
        self._origin = ""  # the stream's name and when it was made: its numbers mean nothing in another one

    async def connect(self, queues: Sequence[Queue], changed: Callable[[bool], None]) -> None:
        async def broken() -> None:
            self._link.break_off()

        async def again() -> None:
            self._returning = asyncio.create_task(self._return(changed))

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
                    ping_interval=_PING,
                    max_outstanding_pings=2,
                    disconnected_cb=broken,
                    reconnected_cb=again,
                    error_cb=failed,
                )
        except TimeoutError:
            await client.close()
            raise failures[0] if failures else TimeoutError(f"no answer within {_REACHED:g} s") from None
        self._client = client
        self._js = self._client.jetstream(timeout=_CONFIRMED)
        self._queues = queues
        await self._prepare()
        self._link.stand()

    async def _return(self, changed: Callable[[bool], None]) -> None:
        """Tell of a server that is there again: when its JetStream is, which may be a moment later, or never."""
        until = monotonic() + _REACHED
        while monotonic() < until:
            try:
                await self._prepare()
            except (NatsError, TimeoutError):
                await asyncio.sleep(_SOON)
            else:
                self._link.stand()
                changed(True)
                return
        changed(False)

    async def _prepare(self) -> None:
        """Make what is missing; also after a server came back, which may have lost its disk."""
        last = await self._make_stream()
        marks = await self._marks()
        # Where a service begins that has never read: after what was there before the system knew it, or that it hears
        # such events.
        names = [
            name for each in self._queues for name in (each.name, *(mark_of(each, of) for of in sorted(each.types)))
        ]
        made = await asyncio.gather(
            *(marks.create(self._key(name), str(last).encode()) for name in names), return_exceptions=True
        )
        for each in made:
            if isinstance(each, BaseException) and not isinstance(each, KeyWrongLastSequenceError):  # it is there
                raise each

    async def _make_stream(self) -> int:
        """See that the stream is there; returns how many events it had before the system knew it."""
        js, last = self._jetstream, 0
        try:
            info = await js.stream_info(self._stream)
            if not self._origin or self._origin == self._origin_of(info):
                last = info.state.last_seq
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
        self._origin = self._origin_of(info)
        return last

    def _origin_of(self, info: StreamInfo) -> str:
        return f"nats:{self._stream}@{info.created}"

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
        headers = {"Nats-Msg-Id": f"{envelope.origin} {envelope.id}", **to_headers(attributes, HEADERS)}
        if not attributes:  # here it says that this is the whole event, and nothing of its data
            headers["Content-Type"] = content_type
        subject = f"{self._stream}.{envelope.type}"
        try:
            async with self._link.held():
                await self._jetstream.publish(subject, body, timeout=_CONFIRMED, headers=headers)
        except NoStreamResponseError:
            await self._prepare()  # somebody has deleted the stream: the next attempt finds one
            raise
        except MaxPayloadError:
            limit = self._client.max_payload if self._client is not None else 0
            raise Undeliverable(
                f"{envelope.type} has {len(body)} bytes, and NATS takes {limit} at most (its option max_payload)"
            ) from None

    async def take(self, queue: Queue, incoming: Incoming) -> None:
        await self._link.wait()
        async with self._link.held():
            try:
                await self._reader(queue).take(incoming)
            except NotFoundError:
                await self._prepare()  # somebody has deleted the stream: what begins anew finds one
                raise

    async def lag(self, queue: Queue, positions: BusPositions) -> int:
        async with self._link.held():
            return await self._reader(queue).lag(positions)

    async def rewind(self, queue: Queue, positions: BusPositions, past: Replay) -> str:
        return await self._reader(queue).rewind(positions, past)

    def _reader(self, queue: Queue) -> StreamReader:
        return StreamReader(self._jetstream, self._link, self._stream, self._origin, queue, self._mark)

    async def _mark(self, name: str) -> str:
        mark = await (await self._marks()).get(self._key(name))
        return str(mark.value.decode())

    def _key(self, name: str) -> str:
        """The mark of that name in this stream: its number means nothing in one that was made anew."""
        return f"{name}.{re.sub('[^0-9]', '', self._origin.rpartition('@')[2])}"

    async def close(self) -> None:
        self._link.break_off()
        returning, self._returning = self._returning, None
        if returning is not None:
            returning.cancel()
        client, self._client, self._js = self._client, None, None
        if client is not None:
            await client.close()
