"""Replicas count together in Redis, and each for itself while that is killed or hangs; nobody is kept waiting."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import socket
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayRouteTable, GatewayTable
from meristem.gateway.policy.limit_tables import ConcurrencyTable, RateLimitTable
from tests.unit.gateway.policy.asked import limits, request, statuses, verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
STARTED = 10.0


class Server:
    """A Redis of the test's own, which it may end."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        with Redis(port=self.port, retry=None) as client:
            for _ in range(int(STARTED / 0.05)):
                try:
                    client.ping()
                except ConnectionError:
                    pass
                except Exception as error:  # redis has a ConnectionError of its own
                    if self.process.poll() is not None:
                        raise AssertionError("redis-server has ended") from error
                else:
                    return
                signal.sigtimedwait([], 0.05)
        raise AssertionError("redis-server did not start")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path)
    yield found
    found.end()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, Redis is not taken for one that is away."""
    monkeypatch.setattr("meristem.gateway.policy.shared_limits.PATIENCE", 10.0)
    monkeypatch.setattr("meristem.gateway.policy.redis_limits.PATIENCE", 10.0)


@asynccontextmanager
async def replicas(table: GatewayTable, number: int = 2) -> AsyncIterator[list[Gatekeeper]]:
    found = [Gatekeeper(table, system="shop") for _ in range(number)]
    try:
        # A first request opens a connection, which takes longer than all others.
        for each in found:
            await verdict(each, request("198.51.100.1"))
        yield found
    finally:
        for each in found:
            await each.stop()


@pytest.mark.usefixtures("patient")
async def test_replicas_admit_together_what_one_would(server: Server):
    table = limits(one=RateLimitTable("1/h", burst=9, store=server.url))
    async with replicas(table) as (one, other):
        asked = [statuses(each, request()) for _ in range(15) for each in (one, other)]
        found = [status for (status,) in await asyncio.gather(*asked)]
    assert sorted(found) == [200] * 10 + [429] * 20


@pytest.mark.usefixtures("patient")
async def test_what_the_limit_says_is_what_redis_counts(server: Server):
    table = limits(one=RateLimitTable("10/s", burst=2, store=server.url))
    async with replicas(table) as (one, other):
        assert await statuses(one, request(), request(), request()) == [200] * 3
        refused = await verdict(other, request())
        assert refused.status == 429
        assert (b"retry-after", b"1") in refused.fields
        await asyncio.sleep(0.35)
        found = await verdict(other, request())
        told = dict(found.fields)
        assert told[b"ratelimit"].startswith(b'"one";r=2;t=1;pk=')


@pytest.mark.usefixtures("patient")
async def test_several_limits_are_charged_in_redis_together_or_not_at_all(server: Server):
    table = limits(
        wide=RateLimitTable("1/h", burst=9, store=server.url),
        narrow=RateLimitTable("1/h", by="route", burst=3, store=server.url),
        dry=RateLimitTable("1/h", store=server.url, dry_run=True),
    )
    async with replicas(table, 1) as (one,):
        found = await statuses(one, *[request()] * 8)
        assert found == [200] * 3 + [429] * 5  # one of the route was taken by the first request of `replicas`
        with Redis(port=server.port) as client:
            keys = {key.decode().split(":limit:")[1] for key in client.keys("meristem:{shop}:limit:*")}
        assert {"wide:192.0.2.1", "narrow:route all", "dry:192.0.2.1"} <= keys
        ahead = await one.limits.stores[server.url].take([(one.limits.rates["wide"], "192.0.2.1")])
    assert ahead is not None
    assert ahead[0] == pytest.approx(3 * 3600, abs=5)


@pytest.mark.usefixtures("patient")
async def test_what_a_later_limit_refuses_is_given_back_in_redis(server: Server):
    table = GatewayTable(
        {"one": RateLimitTable("1/h", burst=9, store=server.url)},
        {"all": GatewayRouteTable(limits=("one",), concurrency=("few",))},
        concurrency={"few": ConcurrencyTable(1)},
    )
    async with replicas(table, 1) as (one,):
        assert await statuses(one, *[request()] * 12) == [200] + [429] * 11
        store = one.limits.stores[server.url]
        await store._background.join()
        ahead = await store.take([(one.limits.rates["one"], "192.0.2.1")])
    assert ahead is not None
    assert ahead[0] == pytest.approx(3600, abs=5)


@pytest.mark.usefixtures("patient")
async def test_who_has_used_up_a_limit_begins_anew_by_its_new_numbers(server: Server):
    async with replicas(limits(one=RateLimitTable("1/h", burst=9, store=server.url)), 1) as (before,):
        assert await statuses(before, *[request()] * 12) == [200] * 10 + [429] * 2
    async with replicas(limits(one=RateLimitTable("1/min", burst=2, store=server.url)), 1) as (after,):
        assert await statuses(after, *[request()] * 4) == [200] * 3 + [429]


@pytest.mark.usefixtures("patient")
async def test_a_clock_of_redis_that_goes_back_shuts_nobody_out(server: Server):
    async with replicas(limits(one=RateLimitTable("10/s", burst=2, store=server.url)), 1) as (one,):
        assert await statuses(one, request()) == [200]
        with Redis(port=server.port) as client:
            name = "meristem:{shop}:limit:one:192.0.2.1"
            client.set(name, float(client.get(name) or 0) + 3600e6, px=3600_000)
        assert await statuses(one, *[request()] * 4) == [200] * 3 + [429]


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_while_redis_is_away_each_replica_counts_and_says_so_once(
    server: Server, how: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    loop = asyncio.get_running_loop()
    table = limits(one=RateLimitTable("1/h", burst=9, store=server.url))
    async with replicas(table) as (one, other):
        assert await statuses(one, *[request()] * 4) == [200] * 4
        if how == "killed":
            server.end()
        else:
            server.process.send_signal(signal.SIGSTOP)
        began = loop.time()
        # The first replica knows of four; the other has heard of none of this address.
        assert await statuses(one, *[request()] * 10) == [200] * 6 + [429] * 4
        assert await statuses(other, *[request()] * 12) == [200] * 10 + [429] * 2
        assert loop.time() - began < 5.0
        away = [each.getMessage() for each in caplog.records if "is away" in each.getMessage()]
        assert len(away) == 2
        assert f"redis://127.0.0.1:{server.port}/0 is away" in away[0]
        store = one.limits.stores[server.url]
        assert store.is_away
        assert store.failures >= 1
        if how == "killed":
            server.start()
        else:
            server.process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            while store.is_away:
                await verdict(one, request("198.51.100.9"))
                await asyncio.sleep(0.05)
        assert [each.getMessage() for each in caplog.records if "is back" in each.getMessage()]


async def test_a_password_of_the_store_is_in_no_message(caplog: pytest.LogCaptureFixture):
    table = limits(one=RateLimitTable("1/h", store="redis://me:secret@127.0.0.1:1/0"))
    async with replicas(table, 1):
        assert "is away" in caplog.text
    assert "secret" not in caplog.text
