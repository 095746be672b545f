"""Kafka: the port's suite on librdkafka's mock of a cluster."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from meristem.events.brokers.address import read_address
from tests.suites.broker import BrokerSuite
from tests.suites.kafka import Cluster, mock_cluster
from tests.suites.outage import Frozen, Outage


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with mock_cluster() as found:
        yield found


class TestKafka(BrokerSuite):
    keeps_the_past = True

    @pytest.fixture
    def url(self, cluster: Cluster) -> str:
        return f"kafka://{cluster.servers}?prefix=t{uuid4().hex[:12]}"

    @pytest.fixture
    def outage(self, url: str, cluster: Cluster) -> Outage:
        return Frozen(url, cluster.pid)

    async def post(self, url: str, event_type: str, content_type: str, body: bytes) -> None:
        address = read_address(url, ())
        producer = Producer({"bootstrap.servers": address.url.partition("//")[2]})
        topic = f"{address.prefix}.{event_type.rpartition('.')[0]}"
        producer.produce(topic, body, headers=[("content-type", content_type)])
        assert await asyncio.to_thread(producer.flush, 10) == 0
