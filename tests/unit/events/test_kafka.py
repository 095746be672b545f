"""Kafka: the port's suite on librdkafka's mock of a cluster."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.suites.bus import BusSuite
from tests.suites.kafka import mock_cluster


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with mock_cluster() as found:
        yield found


class TestKafka(BusSuite):
    @pytest.fixture
    def url(self, servers: str) -> str:
        return f"kafka://{servers}?prefix=t{uuid4().hex[:12]}"
