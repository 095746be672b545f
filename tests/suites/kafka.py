"""A Kafka cluster for tests: librdkafka's mock of one, which needs nothing installed and keeps nothing."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_PROGRAM = """
import sys
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 3, "log_level": 0})
print(",".join(f"{each.host}:{each.port}" for each in cluster.list_topics(timeout=10).brokers.values()), flush=True)
sys.stdin.read()
"""


class Cluster(NamedTuple):
    """Where its brokers are, and the process that they live in."""

    servers: str
    pid: int


@contextmanager
def mock_cluster() -> Iterator[Cluster]:
    """Three brokers that live as long as the block."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as it:
        assert it.stdin is not None
        assert it.stdout is not None
        yield Cluster(it.stdout.readline().strip(), it.pid)
        it.stdin.close()
