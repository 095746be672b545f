"""Kafka: a topic for the events of each package, partitioned by key, and a group's offsets for each service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from meristem.errors import ConfigurationError, Undeliverable
from meristem.events.brokers.address import BusAddress, count, read_address
from meristem.events.brokers.broker import BrokerBus, Queue
from meristem.events.brokers.kafka_reader import HEADERS, REACHED, TURN, GroupReader
from meristem.events.cloudevents import to_message

if TYPE_CHECKING:
    from meristem.events.bus_positions import BusPositions, Replay
    from meristem.events.envelope import Envelope
    from meristem.events.incoming_events import Incoming

T = TypeVar("T")

_OPTIONS: Final = ("partitions", "replicas", "sasl")
_CONFIRMED: Final = 10.0  # seconds for all replicas to have an event
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
        found = await self._run(self._producer.list_topics, timeout=REACHED)
        self._known = set(found.topics)
        self._has_controller = found.controller_id >= 0
        self._polling = asyncio.create_task(self._poll(self._producer))
        topics = sorted({topic for queue in queues for topic in self._topics(queue)})
        made = [topic for topic in topics if await self._make(topic)]
        for queue in queues:
            self._groups[queue.name] = Consumer(self._settings | self._of_group(queue))
            await self._reader(queue).begin(made)

    def _of_group(self, queue: Queue) -> dict[str, Any]:
        return {
            "group.id": f"{self._address.prefix}.{queue.name}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",  # what a topic keeps no more is gone, what it keeps is not
            "fetch.wait.max.ms": int(TURN * 1000),
        }

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
                found = await self._run(self._client.list_topics, topic, timeout=REACHED)
                if found.topics[topic].error is not None:
                    raise ConfigurationError(f"the topic {topic} is missing: make it ({refused})")
            self._known.add(topic)
            return True

    async def _create(self, topic: str) -> str | None:
        """Why a topic could not be made; None where it was, or had been."""
        admin = AdminClient(self._settings)
        wanted = NewTopic(topic, num_partitions=self._partitions, replication_factor=self._replicas or -1)
        try:
            made = (await self._run(admin.create_topics, [wanted], request_timeout=REACHED))[topic]
            await self._run(made.result)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            return None if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS else reason.str()
        return None

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
            await self._run(producer.poll, TURN)

    async def send(self, envelope: Envelope) -> None:
        topic = self._topic(envelope.type)
        if topic not in self._known:
            await self._make(topic)
        content_type, attributes, body = to_message(envelope, binary=self._address.binary)
        attributes.pop("datacontenttype", None)  # it is the record's own content type
        headers = {f"{HEADERS}{name}": value for name, value in attributes.items()}
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
        await self._reader(queue).take(incoming)

    async def lag(self, queue: Queue, positions: BusPositions) -> int:
        return await self._reader(queue).lag(positions)

    async def rewind(self, queue: Queue, positions: BusPositions, past: Replay) -> str:
        return await self._reader(queue).rewind(positions, past)

    def _reader(self, queue: Queue) -> GroupReader:
        settings, group = self._settings | self._of_group(queue), self._groups[queue.name]
        return GroupReader(self._run, settings, group, queue, self._topic, f"kafka:{self._address.prefix}")

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
