"""Kafka: a topic for the events of each package, partitioned by key, and a group's offsets for each service.

One replica of a service reads all partitions under the lease, by assignment: nothing waits for a group to come to
terms, and another replica goes on at once. The offsets are the group's, so that Kafka's own tools show how far it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from meristem.errors import ConfigurationError, Undeliverable
from meristem.events.brokers.address import BusAddress, count, read_address
from meristem.events.brokers.broker import BrokerBus, Queue
from meristem.events.cloudevents import WireEvent, from_message, to_message
from meristem.events.delivery import Unreadable

if TYPE_CHECKING:
    from confluent_kafka import Message as Record

    from meristem.events.bus_positions import BusPositions, Replay
    from meristem.events.envelope import Envelope
    from meristem.events.incoming_events import Incoming

T = TypeVar("T")

_OPTIONS: Final = ("partitions", "replicas", "sasl")
_HEADERS: Final = "ce_"  # CloudEvents' Kafka binding 1.0.2, section 3.2.4
_REACHED: Final = 3.0  # seconds for one question to a broker
_CONFIRMED: Final = 10.0  # seconds for all replicas to have an event
_TURN: Final = 0.2  # seconds of a thread's turn in the client
_LINGER: Final = 0.01  # seconds for more events to come along with the first one
_BATCH: Final = 500
_REFUSED: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD)


def open_bus(url: str, *, system: str) -> BrokerBus:
    """The bus of `kafka://host:9092,other:9092?prefix=meristem`, or `kafka+ssl`.

    `partitions=12` and `replicas=3` are of the topics that it makes, `sasl=SCRAM-SHA-512` is how a user of the URL is
    authenticated, `mode=structured` how an event is written.
    """
    return BrokerBus(KafkaBroker(read_address(url, _OPTIONS), system), system=system)


class KafkaBroker:
    """The clients of a Kafka cluster, each of which blocks and so works in a thread."""

    name = "kafka"
    rewinds_at_rest = True

    def __init__(self, address: BusAddress, system: str) -> None:
        self._address = address
        self._partitions = count(address.options, "partitions", 12)
        self._replicas = count(address.options, "replicas", 0)
        self._settings = _settings(address, system)
        self._threads: ThreadPoolExecutor | None = None
        self._producer: Producer | None = None
        self._polling: asyncio.Task[None] | None = None
        self._groups: dict[str, Consumer] = {}  # who asks and tells how far each queue was read
        self._known: set[str] = set()  # topics that are there
        self._has_controller = False  # that makes topics
        self._making = asyncio.Lock()

    async def connect(self, queues: Sequence[Queue], changed: Callable[[bool], None]) -> None:  # noqa: ARG002
        # The clients connect again by themselves, and keep what they were given meanwhile.
        self._threads = ThreadPoolExecutor(len(queues) + 3, thread_name_prefix="kafka")
        self._producer = Producer(
            self._settings
            | {
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.timeout.ms": int(_CONFIRMED * 1000),
            }
        )
        found = await self._run(self._producer.list_topics, timeout=_REACHED)
        self._known = set(found.topics)
        self._has_controller = found.controller_id >= 0
        self._polling = asyncio.create_task(self._poll(self._producer))
        topics = sorted({topic for queue in queues for topic in self._topics(queue)})
        made = [topic for topic in topics if await self._make(topic)]
        for queue in queues:
            self._groups[queue.name] = await self._group(queue, made)

    async def _group(self, queue: Queue, made: Sequence[str]) -> Consumer:
        group = self._consumer(queue)
        # Of a topic that was just made all, also what is published before the service first reads.
        fresh = [each for topic in self._topics(queue) if topic in made for each in await self._parts(group, topic)]
        for each in fresh:
            each.offset = 0
        if fresh:
            await self._run(group.commit, offsets=fresh, asynchronous=False)
        return group

    def _consumer(self, queue: Queue) -> Consumer:
        return Consumer(
            self._settings
            | {
                "group.id": f"{self._address.prefix}.{queue.name}",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",  # what a topic keeps no more is gone, what it keeps is not
                "fetch.wait.max.ms": int(_TURN * 1000),
            }
        )

    def _topics(self, queue: Queue) -> list[str]:
        return sorted({self._topic(each) for each in queue.types})

    def _topic(self, event_type: str) -> str:
        # Of a package, so that its events are in order by key whatever their types.
        return f"{self._address.prefix}.{event_type.rpartition('.')[0] or event_type}"

    async def _make(self, topic: str) -> bool:
        """Make a topic that isn't there; returns whether it was missing."""
        async with self._making:
            if topic in self._known:
                return False
            refused = await self._create(topic) if self._has_controller else "the cluster has no controller"
            if refused:
                # Whom the cluster lets make none asks for it: it may make those that are asked for.
                found = await self._run(self._client.list_topics, topic, timeout=_REACHED)
                if found.topics[topic].error is not None:
                    raise ConfigurationError(f"the topic {topic} is missing: make it ({refused})")
            self._known.add(topic)
            return True

    async def _create(self, topic: str) -> str | None:
        """Why a topic could not be made; None where it was, or had been."""
        admin = AdminClient(self._settings)
        wanted = NewTopic(topic, num_partitions=self._partitions, replication_factor=self._replicas or -1)
        try:
            made = (await self._run(admin.create_topics, [wanted], request_timeout=_REACHED))[topic]
            await self._run(made.result)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            return None if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS else reason.str()
        return None

    async def _parts(self, group: Consumer, topic: str) -> list[TopicPartition]:
        found = (await self._run(group.list_topics, topic, timeout=_REACHED)).topics[topic]
        return [TopicPartition(topic, each) for each in sorted(found.partitions)]

    @property
    def _client(self) -> Producer:
        if self._producer is None:
            raise ConnectionError("not connected")
        return self._producer

    async def _run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        if self._threads is None:
            raise ConnectionError("not connected")
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def _poll(self, producer: Producer) -> None:
        while True:  # confirmations are told in this thread
            await self._run(producer.poll, _TURN)

    async def send(self, envelope: Envelope) -> None:
        topic = self._topic(envelope.type)
        if topic not in self._known:
            await self._make(topic)
        content_type, attributes, body = to_message(envelope, binary=self._address.binary)
        attributes.pop("datacontenttype", None)  # it is the record's own content type
        headers = {f"{_HEADERS}{name}": value for name, value in attributes.items()}
        if content_type:
            headers["content-type"] = content_type
        loop = asyncio.get_running_loop()
        confirmed: asyncio.Future[None] = loop.create_future()

        def settle(error: KafkaError | None) -> None:
            if not confirmed.done():
                confirmed.set_result(None) if error is None else confirmed.set_exception(KafkaException(error))

        def tell(error: KafkaError | None, _: object) -> None:  # in the thread that polls
            loop.call_soon_threadsafe(settle, error)

        try:
            self._client.produce(
                topic,
                body,
                key=envelope.subject or None,
                headers=[(name, value.encode()) for name, value in headers.items()],
                on_delivery=tell,
            )
            await confirmed
        except KafkaException as error:
            if error.args[0].code() in _REFUSED:
                raise Undeliverable(f"{envelope.type} has {len(body)} bytes: {error.args[0].str()}") from None
            raise

    async def take(self, queue: Queue, incoming: Incoming) -> None:
        # Two clients: a question would wait behind a request for events, which the broker answers when there are some.
        group, reader = self._groups[queue.name], self._consumer(queue)
        try:
            await self._run(reader.assign, await self._begin(queue, group))
            while True:
                await incoming.room()
                records = await self._run(reader.consume, 1, _TURN)
                if not records:
                    continue
                records += await self._run(reader.consume, _BATCH, _LINGER)
                for each in records:
                    if (failure := each.error()) is not None:
                        raise KafkaException(failure)
                await incoming.store([event for each in records if (event := self._read(each, queue)) is not None])
                await self._run(group.commit, offsets=_ends(records), asynchronous=False)
        finally:
            await asyncio.shield(asyncio.to_thread(reader.close))  # may come after `close`

    async def _begin(self, queue: Queue, group: Consumer) -> list[TopicPartition]:
        """How far the group is; where it has never been, it begins with what comes from now on."""
        parts = [each for topic in self._topics(queue) for each in await self._parts(group, topic)]
        known = await self._run(group.committed, parts, timeout=_REACHED)
        fresh = [each for each in known if each.offset == OFFSET_INVALID]
        if len(fresh) == len(known):
            for each in fresh:
                _, each.offset = await self._run(group.get_watermark_offsets, each, timeout=_REACHED)
        else:
            for each in fresh:  # a partition that was added since: all that is in it is new
                each.offset = 0
        if fresh:
            await self._run(group.commit, offsets=fresh, asynchronous=False)
        return known

    def _read(self, record: Record, queue: Queue) -> Envelope | Unreadable | None:
        headers = {name: _text(value) for name, value in dict(record.headers() or []).items()}
        attributes = {name.removeprefix(_HEADERS): text for name, text in headers.items() if name.startswith(_HEADERS)}
        body = record.value() or b""
        try:
            envelope = from_message(WireEvent(headers.get("content-type", ""), attributes, body))
        except Undeliverable as error:
            place = f"kafka {record.topic()} {record.partition()} {record.offset()}"
            return Unreadable.at(place, attributes.get("type", ""), body, str(error))
        return envelope if envelope.type in queue.types else None

    async def lag(self, queue: Queue, positions: BusPositions) -> int:  # noqa: ARG002 - the cluster knows
        group, behind = self._groups[queue.name], 0
        for each in await self._begin(queue, group):
            _, end = await self._run(
                group.get_watermark_offsets, TopicPartition(each.topic, each.partition), timeout=_REACHED
            )
            behind += end - each.offset
        return behind

    async def rewind(self, queue: Queue, positions: BusPositions, past: Replay) -> str:
        if past.position is not None:
            raise ConfigurationError(
                "Kafka counts in each partition by itself: say from which time on, or from the first"
            )
        group = self._groups[queue.name]
        parts = [each for topic in self._topics(queue) for each in await self._parts(group, topic)]
        if past.since is not None:
            for each in parts:
                each.offset = int(past.since.timestamp() * 1000)
            parts = await self._run(group.offsets_for_times, parts, timeout=_REACHED)
        for each in parts:
            low, high = await self._run(group.get_watermark_offsets, each, timeout=_REACHED)
            each.offset = low if past.since is None else each.offset if each.offset >= 0 else high
        if past.again:
            await positions.forget(queue.service, 0.0 if past.since is None else past.since.timestamp())
        await self._run(group.commit, offsets=parts, asynchronous=False)
        begins = "the first event" if past.since is None else past.since.isoformat(" ", "seconds")
        return f"{begins} in {', '.join(self._topics(queue))}"

    async def close(self) -> None:
        polling, self._polling = self._polling, None
        if polling is not None:
            polling.cancel()
        groups, self._groups, self._producer = self._groups, {}, None
        threads, self._threads = self._threads, None
        if threads is not None:
            loop = asyncio.get_running_loop()
            for group in groups.values():
                await loop.run_in_executor(threads, group.close)
            await loop.run_in_executor(None, threads.shutdown)


def _ends(records: Sequence[Record]) -> list[TopicPartition]:
    """Where each partition of the records goes on."""
    found = {(str(each.topic()), each.partition() or 0): (each.offset() or 0) + 1 for each in records}
    return [TopicPartition(topic, part, offset) for (topic, part), offset in found.items()]


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _settings(address: BusAddress, system: str) -> dict[str, Any]:
    parts = urlsplit(address.url)
    servers = parts.netloc.rpartition("@")[2]
    found: dict[str, Any] = {"bootstrap.servers": servers, "client.id": f"meristem {system}", "log_level": 0}
    protocol = "ssl" if parts.scheme.endswith("+ssl") else "plaintext"
    if parts.username:
        found |= {
            "sasl.mechanism": address.options.get("sasl", "SCRAM-SHA-512"),
            "sasl.username": unquote(parts.username),
            "sasl.password": unquote(parts.password or ""),
        }
        protocol = f"sasl_{protocol}"
    return found | {"security.protocol": protocol}
