"""The soak's own broker keeps what it confirmed over what strikes it, and is cut off by its cable alone."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import nats
import pytest

from benchmarks.soak.broker_server import CABLE, BrokerServer, broker_running
from benchmarks.soak.network import Network, network_for, possible

ANSWERED = 0.5  # seconds
PATIENCE = 30.0


@pytest.fixture
def network() -> Iterator[Network]:
    if reason := possible():
        pytest.skip(reason)
    with network_for(["rooms-0", CABLE], divided=True) as found:
        yield found


@pytest.fixture
def broker(network: Network) -> Iterator[BrokerServer]:
    if shutil.which("nats-server") is None:
        pytest.skip("there is no nats-server")
    with broker_running("nats", network) as found:
        yield found


def answers(broker: BrokerServer) -> bool:
    host, _, port = broker.url.removeprefix("nats://").partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), ANSWERED) as asking:
        return asking.recv(4) == b"INFO"
    return False


def until(broker: BrokerServer, *, is_answered: bool) -> None:
    """A signal to stop reaches its threads one after the other."""
    began = time.monotonic()
    while answers(broker) != is_answered:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.01)


@pytest.mark.parametrize("end", [BrokerServer.stop, BrokerServer.crash])
async def test_what_was_confirmed_is_there_after_it_was_ended_and_started(
    broker: BrokerServer, end: Callable[[BrokerServer], None]
):
    async with await nats.connect(broker.url) as client:
        await client.jetstream().add_stream(name="events", subjects=["events.>"])
        await client.jetstream().publish("events.one", b"kept")

    end(broker)
    assert not answers(broker)
    broker.start()

    async with await nats.connect(broker.url) as client:
        assert (await client.jetstream().stream_info("events")).state.messages == 1


@pytest.mark.parametrize("how", ["stopped", "cut"])
def test_it_answers_nobody_until_it_is_given_back(broker: BrokerServer, network: Network, how: str):
    assert answers(broker)
    if how == "stopped":
        broker.stand_still()
    else:
        network.cut(CABLE)
    until(broker, is_answered=False)
    if how == "stopped":
        broker.go_on()
    else:
        network.mend(CABLE)
    until(broker, is_answered=True)


def test_nothing_of_it_is_left(network: Network):
    if shutil.which("nats-server") is None:
        pytest.skip("there is no nats-server")
    with broker_running("nats", network) as broker:
        folder = broker.folder
        broker.stand_still()

    assert not folder.exists()
    assert not answers(broker)
