"""RabbitMQ: a topic exchange for all events, and a quorum queue for each service that hears some of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import aio_pika
from aio_pika import DeliveryMode, ExchangeType
from aio_pika.exceptions import AuthenticationError, ChannelPreconditionFailed, ProbableAuthenticationError

from meristem.errors import ConfigurationError, Undeliverable
from meristem.events.brokers.address import BusAddress, read_address
from meristem.events.brokers.broker import BrokerBus, Queue
from meristem.events.cloudevents import WireEvent, canonical, from_message, to_message
from meristem.events.delivery import Unreadable

if TYPE_CHECKING:
    from aio_pika.abc import (
        AbstractChannel,
        AbstractConnection,
        AbstractExchange,
        AbstractIncomingMessage,
        AbstractQueue,
    )

    from meristem.events.bus_positions import BusPositions, Replay
    from meristem.events.envelope import Envelope
    from meristem.events.incoming_events import Incoming

_PROPERTIES: Final = "cloudEvents_"  # CloudEvents' AMQP binding 1.0.3, section 3.1.3.1
_PREFIXES: Final = (_PROPERTIES, "cloudEvents:", "ce-")  # the last as CloudEvents' own SDK writes for RabbitMQ
_REACHED: Final = 3.0  # seconds for one attempt to connect
_CONFIRMED: Final = 10.0  # seconds for the broker to say that it has an event
_ENDED: Final = 3.0  # seconds for the broker to confirm that a connection ends
# Seconds between two signs of life. A replica that gives none is given up by the broker after two or three of them, and
# what was held for it goes to the next one; a broker that gives none, after 18 seconds.
_HEARTBEAT: Final = 5
_AHEAD: Final = 1000  # events that the broker hands over before the first of them is acknowledged
_BATCH: Final = 500
_LOOK: Final = 1.0  # seconds without an event until it is looked whether the broker still hands any over
_LONGEST: Final = 255  # bytes of a routing key (AMQP 0-9-1, section 4.2.5.3)
_QUEUE: Final[dict[str, Any]] = {
    "x-queue-type": "quorum",
    # Two consumers would store side by side, and an event could overtake another one of its key.
    "x-single-active-consumer": True,
}


class _ToldOnce(logging.Filter):
    """Keeps back what aiormq says of each attempt of ours to connect: the bus tells of the first that fails."""

    ours: ContextVar[bool] = ContextVar("connects to RabbitMQ", default=False)

    def filter(self, record: logging.LogRecord) -> bool:
        return not self.ours.get() or record.funcName != "connect"


_TOLD_ONCE: Final = _ToldOnce()


@asynccontextmanager
async def _lost_is_an_error() -> AsyncIterator[None]:
    """Raise ConnectionError where aiormq gives a silent connection up: it ends what waits there by CancelledError.

    Who asked was not cancelled: a relay, or a reader, would take it for its own end.
    """
    try:
        yield
    except asyncio.CancelledError as ended:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection was lost") from ended


def open_bus(url: str, *, system: str) -> BrokerBus:
    """The bus of `amqp://user:password@host:5672/vhost?prefix=meristem`, or `amqps`.

    `mode=structured` is how an event is written.
    """
    return BrokerBus(RabbitBroker(read_address(url, ()), system), system=system)


class RabbitBroker:
    """A connection to RabbitMQ, the exchange of events there, and its queues."""

    name = "rabbitmq"
    rewinds_at_rest = False

    def __init__(self, address: BusAddress, system: str) -> None:
        self._address = address
        self._system = system
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._waiting: dict[str, int] = {}  # events of each queue that were handed over and are not stored yet

    @_lost_is_an_error()
    async def connect(self, queues: Sequence[Queue], changed: Callable[[bool], None]) -> None:
        _ToldOnce.ours.set(True)
        logging.getLogger("aiormq.connection").addFilter(_TOLD_ONCE)  # the same one again does nothing
        try:
            connection = await aio_pika.connect(
                self._address.url,
                timeout=_REACHED,
                heartbeat=_HEARTBEAT,
                client_properties={"connection_name": f"meristem {self._system}"},
            )
        except (AuthenticationError, ProbableAuthenticationError) as error:
            raise ConfigurationError(f"RabbitMQ refuses the bus's user or virtual host: {error}") from None
        self._connection = connection
        channel = await connection.channel(publisher_confirms=True)
        self._exchange, _ = await self._declare(channel, queues)
        connection.close_callbacks.add(lambda *_: changed(False))
        channel.close_callbacks.add(lambda *_: changed(False))

    async def _declare(
        self, channel: AbstractChannel, queues: Sequence[Queue]
    ) -> tuple[AbstractExchange, list[AbstractQueue]]:
        """The exchange and these queues, which are made where they are missing."""
        declared = []
        try:
            exchange = await channel.declare_exchange(self._address.prefix, ExchangeType.TOPIC, durable=True)
            for each in queues:
                queue = await channel.declare_queue(self._queue(each), durable=True, arguments=_QUEUE)
                for event_type in sorted(each.types):
                    await queue.bind(exchange, event_type)
                declared.append(queue)
        except ChannelPreconditionFailed as error:
            raise ConfigurationError(
                f"RabbitMQ has an exchange or a queue of such a name that is another kind: {error}; "
                "delete it there, or choose another ?prefix="
            ) from None
        return exchange, declared

    def _queue(self, queue: Queue) -> str:
        return f"{self._address.prefix}.{queue.name}"

    @_lost_is_an_error()
    async def send(self, envelope: Envelope) -> None:
        if len(envelope.type.encode()) > _LONGEST:
            raise Undeliverable(f"{envelope.type[:40]}…: RabbitMQ takes types of {_LONGEST} bytes at most")
        assert self._exchange is not None  # connected
        content_type, attributes, body = to_message(envelope, binary=self._address.binary)
        attributes.pop("datacontenttype", None)  # it is the message's own content type
        message = aio_pika.Message(
            body,
            content_type=content_type or None,
            headers={f"{_PROPERTIES}{name}": value for name, value in attributes.items()},
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=envelope.id,
            type=envelope.type,
        )
        await self._exchange.publish(message, envelope.type, mandatory=False, timeout=_CONFIRMED)

    @_lost_is_an_error()
    async def take(self, queue: Queue, incoming: Incoming) -> None:
        await incoming.beginnings.begin(queue.service, queue.types, queue.first, None)
        channel = await self._channel()
        arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        channel.close_callbacks.add(lambda *_: arrived.put_nowait(None))
        try:
            await channel.set_qos(prefetch_count=_AHEAD)
            # Made anew if somebody has deleted it since the process connected.
            _, [source] = await self._declare(channel, [queue])

            async def keep(message: AbstractIncomingMessage) -> None:
                self._waiting[queue.name] = self._waiting.get(queue.name, 0) + 1
                arrived.put_nowait(message)

            tag = await source.consume(keep)
            underlay: Any = await channel.get_underlay_channel()  # whose port leaves its consumers out
            while True:
                await incoming.room()
                batch = [await _next(arrived, lambda: tag in underlay.consumers)]
                while len(batch) < _BATCH and not arrived.empty():
                    batch.append(arrived.get_nowait())
                messages = [each for each in batch if each is not None]
                if len(messages) < len(batch):
                    raise ConnectionError("the channel was closed")
                await incoming.store([event for each in messages if (event := self._read(each, queue)) is not None])
                # Only now, and all up to the last one: the broker keeps what is not acknowledged, in its order.
                await messages[-1].ack(multiple=True)
                self._waiting[queue.name] -= len(messages)
        finally:
            self._waiting.pop(queue.name, None)
            await channel.close()

    def _read(self, message: AbstractIncomingMessage, queue: Queue) -> Envelope | Unreadable | None:
        event_type = message.routing_key or ""
        if event_type not in queue.types:
            return None  # bound by a release of before, and heard no more
        try:
            attributes = _attributes(message.headers)
            return from_message(WireEvent(message.content_type or "", attributes, message.body))
        except Undeliverable as error:
            place = f"rabbitmq {self._queue(queue)} {message.message_id or message.delivery_tag}"
            return Unreadable.at(place, event_type, message.body, str(error))

    @_lost_is_an_error()
    async def lag(self, queue: Queue, positions: BusPositions) -> int:  # noqa: ARG002 - the broker knows
        channel = await self._channel()
        try:
            found = await channel.declare_queue(self._queue(queue), passive=True)
            return (found.declaration_result.message_count or 0) + self._waiting.get(queue.name, 0)
        finally:
            await channel.close()

    async def rewind(self, queue: Queue, positions: BusPositions, past: Replay) -> str:  # noqa: ARG002 - of `Broker`
        raise ConfigurationError("RabbitMQ can't replay: what a service has taken in is gone there")

    async def _channel(self) -> AbstractChannel:
        if self._connection is None:
            raise ConnectionError("not connected")
        return await self._connection.channel()

    async def close(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            # A broker that is away, or silent, does not confirm the end: it notices it by itself.
            with suppress(TimeoutError, ConnectionError):
                async with _lost_is_an_error(), asyncio.timeout(_ENDED):
                    await connection.close()


async def _next(
    arrived: asyncio.Queue[AbstractIncomingMessage | None], is_consuming: Callable[[], bool]
) -> AbstractIncomingMessage | None:
    """What arrives next; raises ConnectionError where the broker has ended that, as it does with a deleted queue."""
    while True:
        try:
            async with asyncio.timeout(_LOOK):
                return await arrived.get()
        except TimeoutError:
            if not is_consuming():
                raise ConnectionError("its queue was deleted or moved; what came meanwhile may be lost") from None


def _attributes(headers: Mapping[str, Any]) -> dict[str, str]:
    """The attributes among a message's headers; raises Undeliverable."""
    found: dict[str, str] = {}
    for header, value in headers.items():
        for prefix in _PREFIXES:
            if header.startswith(prefix):
                name = header.removeprefix(prefix)
                found[name] = canonical(name, value)
    return found
