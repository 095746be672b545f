"""Other people's clients and CloudEvents' own SDK on each broker: we handle what they publish, they read what we do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import confluent_kafka
import nats
import pika
import pytest
from cloudevents.core.bindings import amqp, http, kafka, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from meristem.context import CURRENT, Context, Identity, Trace
from meristem.events.adapters import bus_for
from meristem.events.cloudevents import data_of, read_json
from meristem.events.facts import DeadLettered, Delivered
from meristem.testing import ManualClock
from tests.suites.bus import Booked, Stage
from tests.suites.kafka import mock_cluster

NATS = "nats://127.0.0.1:4222"
RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/"
JSON = JSONFormat()
TYPE = "suite.v1.Booked"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Stranger(Protocol):
    url: str

    async def listen(self) -> Callable[[], Any]: ...

    async def publish(self, event: CloudEvent, *, binary: bool) -> None: ...


class OnNats:
    """nats-py; the SDK has no binding for NATS, whose headers are those of HTTP but for the content type."""

    def __init__(self, prefix: str) -> None:
        self.prefix, self.url = prefix, f"{NATS}?prefix={prefix}"

    async def publish(self, event: CloudEvent, *, binary: bool) -> None:
        message = http.to_binary(event, JSON) if binary else http.to_structured(event, JSON)
        headers = dict(message.headers)
        if binary:
            headers["ce-datacontenttype"] = headers.pop("content-type")
        client = await nats.connect(NATS)
        try:
            await client.jetstream().publish(f"{self.prefix}.{event.get_type()}", message.body, headers=headers)
        finally:
            await client.close()

    async def listen(self) -> Callable[[], Any]:
        async def read() -> CloudEvent:
            client = await nats.connect(NATS)
            try:
                found = await (await client.jetstream().subscribe(f"{self.prefix}.>")).next_msg(timeout=30)
            finally:
                await client.close()
            headers = dict(found.headers or {})
            if kind := headers.pop("ce-datacontenttype", None):
                headers["content-type"] = kind
            return http.from_http_event(http.HTTPMessage(headers, found.data))

        return read


class OnRabbitmq:
    """pika, with the SDK's binding of AMQP: times are numbers there."""

    def __init__(self, prefix: str) -> None:
        self.prefix, self.url = prefix, f"{RABBITMQ}?prefix={prefix}"

    def _headers(self, event: CloudEvent, *, binary: bool) -> tuple[dict[str, Any], str, bytes]:
        message = amqp.to_binary(event, JSON) if binary else amqp.to_structured(event, JSON)
        return message.application_properties, message.properties["content-type"], message.application_data

    async def publish(self, event: CloudEvent, *, binary: bool) -> None:
        headers, content_type, body = self._headers(event, binary=binary)

        def send() -> None:
            connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ))
            try:
                channel = connection.channel()
                channel.confirm_delivery()
                said = pika.BasicProperties(content_type=content_type, headers=headers)
                channel.basic_publish(self.prefix, event.get_type(), body, said, mandatory=True)
            finally:
                connection.close()

        await asyncio.to_thread(send)

    async def listen(self) -> Callable[[], Any]:
        connection = await asyncio.to_thread(pika.BlockingConnection, pika.URLParameters(RABBITMQ))
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, self.prefix, "suite.#")

        def take() -> CloudEvent:
            _, said, body = next(channel.consume(queue, auto_ack=True, inactivity_timeout=30))
            assert body is not None, "nothing came"
            connection.close()
            message = amqp.AMQPMessage({"content-type": said.content_type}, said.headers or {}, body)
            return amqp.from_amqp_event(message)

        return lambda: asyncio.to_thread(take)


class OnRabbitmqByItsOwnNames(OnRabbitmq):
    """As the SDK writes for RabbitMQ: other names of headers than AMQP's."""

    def _headers(self, event: CloudEvent, *, binary: bool) -> tuple[dict[str, Any], str, bytes]:
        message = rabbitmq.to_binary(event, JSON) if binary else rabbitmq.to_structured(event, JSON)
        return message.headers, message.content_type or "", message.body


class OnKafka:
    """confluent-kafka, with the SDK's binding."""

    def __init__(self, prefix: str, servers: str) -> None:
        self.servers, self.topic = servers, f"{prefix}.suite.v1"
        self.url = f"kafka://{servers}?prefix={prefix}"

    async def publish(self, event: CloudEvent, *, binary: bool) -> None:
        message = kafka.to_binary(event, JSON) if binary else kafka.to_structured(event, JSON)
        producer = confluent_kafka.Producer({"bootstrap.servers": self.servers})
        producer.produce(self.topic, message.value, key=event.get_subject(), headers=dict(message.headers))
        assert await asyncio.to_thread(producer.flush, 30) == 0

    async def listen(self) -> Callable[[], Any]:
        def take() -> CloudEvent:
            consumer = confluent_kafka.Consumer({"bootstrap.servers": self.servers, "group.id": "stranger"})
            parts = consumer.list_topics(self.topic, timeout=10).topics[self.topic].partitions
            consumer.assign([confluent_kafka.TopicPartition(self.topic, part, 0) for part in parts])
            found = consumer.poll(30)
            consumer.close()
            assert found is not None, "nothing came"
            assert found.key() == b"ada lovelace"
            return kafka.from_kafka_event(kafka.KafkaMessage(dict(found.headers() or []), None, found.value()))

        async def read() -> CloudEvent:
            return await asyncio.to_thread(take)

        return read


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with mock_cluster() as found:
        yield found


@pytest.fixture(params=["nats", "rabbitmq", "rabbitmq's own", "kafka"])
async def stranger(request: pytest.FixtureRequest) -> AsyncIterator[Stranger]:
    prefix = f"t{uuid4().hex[:12]}"
    if request.param == "kafka":
        yield OnKafka(prefix, request.getfixturevalue("servers"))
    elif request.param == "nats":
        yield OnNats(prefix)
        client = await nats.connect(NATS)
        for made in await client.jetstream().streams_info():
            if prefix in made.config.name:
                await client.jetstream().delete_stream(made.config.name)
        await client.close()
    else:
        yield (OnRabbitmq if request.param == "rabbitmq" else OnRabbitmqByItsOwnNames)(prefix)
        with pika.BlockingConnection(pika.URLParameters(RABBITMQ)) as connection:
            channel = connection.channel()
            channel.exchange_delete(prefix)
            channel.queue_delete(f"{prefix}.suite.billing")


def stage_on(stranger: Stranger, folder: Path, mode: str) -> Stage:
    return Stage(folder, bus_for(f"{stranger.url}&mode={mode}", system="suite"), ManualClock())


def event(id: str, content_type: str, data: Any) -> CloudEvent:  # noqa: A002 - the attribute's name
    attributes = {"id": id, "source": "/elsewhere", "type": TYPE, "specversion": "1.0", "datacontenttype": content_type}
    said = {"subject": "café 7%", "time": datetime(2030, 5, 1, 12, 30, tzinfo=UTC), "traceparent": TRACE}
    return CloudEvent(attributes=attributes | said, data=data)


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_what_others_publish_is_handled_or_kept_as_it_came(stranger: Stranger, mode: str, tmp_path: Path) -> None:
    stage = stage_on(stranger, tmp_path, mode)
    billing = stage.subscriber("billing", Booked)
    traces = []

    async def note(_: Any) -> None:
        traces.append(CURRENT.get().trace)

    billing.before = note
    await stage.start()
    try:
        is_binary = mode == "binary"
        given = {"guest": "ada", "number": 7}
        await stranger.publish(event("1", 'application/vnd.a+json; charset="utf-8"', given), binary=is_binary)
        await stage.emitted(Delivered)
        await stranger.publish(event("2", "text/plain; charset=utf-8", "grüß 'Gott'\n"), binary=is_binary)
        await stranger.publish(event("3", "image/png", b"\x89PNG\x00\xff"), binary=is_binary)
        await stage.emitted(DeadLettered, 2)
        await stage.settle()
        assert billing.seen == [7]
        assert [trace.trace_id for trace in traces] == [TRACE[3:35]]
        before = await stage.letters()
        for letter in before:
            assert letter.key == "café 7%"
            assert letter.error is not None
            assert "billing reads JSON alone" in letter.error
        await billing.keeper.dead.redrive()
        billing.keeper.relay.scan_soon()
        await stage.emitted(DeadLettered, 4)
        await stage.settle()
        after = await stage.letters()
        assert [each.body for each in after] == [each.body for each in before]
        found = [read_json(each.body) for each in after]
        assert [(each.datacontenttype, data_of(each)) for each in found] == [
            ("text/plain; charset=utf-8", "grüß 'Gott'\n".encode()),
            ("image/png", b"\x89PNG\x00\xff"),
        ]
        assert found[0].time == datetime(2030, 5, 1, 12, 30, tzinfo=UTC)
    finally:
        await stage.stop()


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_others_read_what_we_publish(stranger: Stranger, mode: str, tmp_path: Path) -> None:
    if isinstance(stranger, OnRabbitmqByItsOwnNames) and mode == "binary":
        pytest.skip("we write AMQP's names")
    stage = stage_on(stranger, tmp_path, mode)
    stage.subscriber("billing", Booked)
    await stage.start()
    token = CURRENT.set(Context(trace=Trace.parse(TRACE, ""), user=Identity("ü-1")))
    try:
        read = await stranger.listen()
        await stage.publish(Booked(guest="ada lovelace", number=7))
        found = await read()
        said = found.get_attributes()
        assert (found.get_type(), found.get_source()) == (TYPE, "//suite/publisher")
        assert (found.get_subject(), found.get_datacontenttype()) == ("ada lovelace", "application/json")
        assert isinstance(found.get_time(), datetime)
        assert (said["traceparent"], said["authtype"], said["authid"]) == (TRACE, "app_user", "ü-1")
        assert found.get_data() == {"guest": "ada lovelace", "number": 7}
    finally:
        CURRENT.reset(token)
        await stage.stop()
