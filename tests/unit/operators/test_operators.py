"""Operators read how every part fares, at addresses that the public does not share."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from meristem.errors import ConfigurationError
from meristem.operators import server as served
from meristem.operators.health import InstanceHealth
from meristem.operators.host_guard import is_loopback
from meristem.operators.server import OperatorAddresses, OperatorServer
from meristem.supervision.ports import free_port

FIGURES = "# HELP calls Calls.\n# TYPE calls gauge\ncalls{code=\"ok\"} 3\n"  # fmt: skip


class Stub:
    """A part that is as a test says."""

    def __init__(self, process: str, replica: int, status: str = "ready", *, program: bool = False) -> None:
        self.labels = {"program": process} if program else {"process": process, "replica": str(replica)}
        self.restarts = replica
        self.silent = asyncio.Event()
        self._status = status
        self._program = program
        self._told = InstanceHealth(process, replica, status, 7, replica, 1.0)

    async def health(self) -> InstanceHealth:
        return self._told

    async def figures(self, media: str) -> str | None:
        if self._status != "ready":
            raise TimeoutError("it hangs")
        return None if self._program else FIGURES + ("# EOF\n" if "openmetrics" in media else "")

    async def passing(self, after: str) -> str | None:
        if self._status != "ready":
            await self.silent.wait()
        return None if self._program else f'{{"after": "{after}+"}}'


class System:
    """A system of such parts."""

    system = "shop"
    pid = 7
    since = 1.0
    address = "http://shop.example"

    def __init__(self, *parts: Stub) -> None:
        self.parts = parts

    def instances(self) -> tuple[Stub, ...]:
        return self.parts


@asynccontextmanager
async def reading(*parts: Stub, listen: str = "tcp://127.0.0.1:0") -> AsyncIterator[httpx.AsyncClient]:
    server = OperatorServer(System(*parts), OperatorAddresses((listen,)))
    await server.start()
    try:
        base = str(server.address).replace("0.0.0.0", "127.0.0.1")
        async with httpx.AsyncClient(base_url=base, timeout=30) as browser:
            yield browser
    finally:
        await server.stop()


async def test_health_tells_of_every_part_and_is_200_when_all_are_ready():
    async with reading(Stub("stock", 0), Stub("stock", 1), Stub("ratings", 0, program=True)) as operator:
        detail = await operator.get("/health")
        ready = await operator.get("/health/ready")
        live = await operator.get("/health/live")

    told = detail.json()
    assert (detail.status_code, told["status"], told["system"], told["pid"]) == (200, "ready", "shop", 7)
    assert [(each["process"], each["replica"], each["restarts"]) for each in told["processes"]] == [
        ("stock", 0, 0), ("stock", 1, 1)
    ]  # fmt: skip
    assert [each["process"] for each in told["programs"]] == ["ratings"]
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert (live.status_code, live.json()) == (200, {"status": "live"})


@pytest.mark.parametrize("status", ["starting", "draining", "waiting", "stopped", "silent"])
async def test_health_is_503_when_one_part_is_not_ready(status):
    async with reading(Stub("stock", 0), Stub("stock", 1, status)) as operator:
        detail, ready, live = [await operator.get(f"/health{each}") for each in ("", "/ready", "/live")]

    assert (detail.status_code, detail.json()["status"], ready.status_code) == (503, "not ready", 503)
    assert ready.json() == {"status": "not ready"}
    assert live.status_code == 200


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_the_figures_of_all_are_one_page_and_a_part_that_hangs_is_said_to_be_down(accept):
    parse = openmetrics.text_string_to_metric_families if "open" in accept else text_string_to_metric_families
    parts = Stub("stock", 0), Stub("stock", 1, "silent"), Stub("rest", 0), Stub("ratings", 0, program=True)
    async with reading(*parts) as operator:
        page = await operator.get("/metrics", headers={"accept": accept})

    families = {each.name.removesuffix("_total"): each for each in parse(page.text)}
    up = {tuple(each.labels.values()): each.value for each in families["meristem_up"].samples}
    assert up == {("stock", "0"): 1, ("stock", "1"): 0, ("rest", "0"): 1, ("ratings",): 1}
    calls = [tuple(each.labels.values()) for each in families["calls"].samples]
    assert calls == [("stock", "0", "ok"), ("rest", "0", "ok")]
    restarts = {tuple(each.labels.values()): each.value for each in families["meristem_restarts"].samples}
    assert restarts["stock", "1"] == 1
    assert page.headers["content-type"].split(";")[0] == accept.split(";")[0]
    assert page.headers["cache-control"] == "no-store"


async def test_a_query_chooses_by_labels():
    parts = Stub("stock", 0), Stub("stock", 1), Stub("rest", 0), Stub("ratings", 0, program=True)
    async with reading(*parts) as operator:

        async def chosen(query: str) -> list[tuple[str, ...]]:
            families = text_string_to_metric_families((await operator.get(f"/metrics?{query}")).text)
            up = next(each for each in families if each.name == "meristem_up")
            return [tuple(each.labels.values()) for each in up.samples]

        assert await chosen("process=stock") == [("stock", "0"), ("stock", "1")]
        assert await chosen("process=stock&replica=1") == [("stock", "1")]
        assert await chosen("process=stock&process=rest&replica=0") == [("stock", "0"), ("rest", "0")]
        assert await chosen("program=ratings") == [("ratings",)]
        health = (await operator.get("/health?process=rest")).json()
        missing = await operator.get("/metrics?process=nothing")
        unknown = await operator.get("/metrics?proces=stock")

    assert [each["process"] for each in health["processes"]] == ["rest"]
    assert (missing.status_code, unknown.status_code) == (404, 404)


async def test_nothing_else_is_there():
    async with reading(Stub("stock", 0)) as operator:
        root = await operator.get("/")
        missing = await operator.get("/api/docs")
        posted = await operator.post("/metrics")

    assert (root.status_code, root.headers["location"]) == (307, "/health")
    assert (missing.status_code, posted.status_code) == (404, 405)
    assert "/metrics" in missing.json()["detail"]


async def test_the_socket_is_for_its_user_alone(tmp_path: Path):
    server = OperatorServer(System(Stub("stock", 0)), OperatorAddresses().and_socket(tmp_path))
    await server.start()
    try:
        path = tmp_path / "operator.sock"
        mode = stat.S_IMODE(path.stat().st_mode)
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://any.name") as operator:
            answer = await operator.get("/health")
    finally:
        await server.stop()

    assert (server.addresses, mode, answer.status_code) == ((), 0o600, 200)
    assert not path.exists()


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:9", 200), ("localhost", 200), ("LOCALHOST:80", 200), ("[::1]:9", 200), ("127.8.8.8", 200),
     ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example:8001", 403), ("10.0.0.1", 403),
     ("[::1].evil.example", 400), ("", 403)],
)  # fmt: skip
async def test_on_loopback_a_request_must_name_this_machine(host, status):
    async with reading(Stub("stock", 0)) as operator:
        assert (await operator.get("/health", headers={"host": host})).status_code == status


async def test_elsewhere_any_name_will_do():
    async with reading(Stub("stock", 0), listen="tcp://0.0.0.0:0") as operator:
        assert (await operator.get("/health", headers={"host": "shop-7.shop.svc"})).status_code == 200


async def test_a_taken_port_is_replaced_and_said_where_it_is_only_preferred(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(served, "PORT", taken)
        server = OperatorServer(System(Stub("stock", 0)), OperatorAddresses(preferred=True))
        await server.start()
        try:
            assert server.remark == f"port {taken} is taken"
            assert server.address not in (None, f"http://127.0.0.1:{taken}")
            async with httpx.AsyncClient(base_url=str(server.address)) as operator:
                assert (await operator.get("/health", headers={"host": "evil.example"})).status_code == 403
        finally:
            await server.stop()


async def test_a_free_port_is_taken_where_it_is_preferred(monkeypatch):
    monkeypatch.setattr(served, "PORT", port := free_port())
    server = OperatorServer(System(), OperatorAddresses(preferred=True))
    await server.start()
    try:
        assert (server.address, server.remark) == (f"http://127.0.0.1:{port}", "")
    finally:
        await server.stop()


async def test_a_port_that_the_system_needs_itself_is_left_to_it(monkeypatch):
    monkeypatch.setattr(served, "PORT", port := free_port())
    server = OperatorServer(System(), OperatorAddresses.of(None, "localhost", [port]))
    await server.start()
    try:
        assert server.address != f"http://127.0.0.1:{port}"
        assert server.remark == f"port {port} is taken"
    finally:
        await server.stop()


async def test_a_demanded_address_that_is_taken_fails_the_start():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        server = OperatorServer(System(), OperatorAddresses((address,)))
        with pytest.raises(ConfigurationError, match=f"cannot listen on {address}"):
            await server.start()
        await server.stop()


@pytest.mark.parametrize(
    ("listen", "host", "found"),
    [
        (None, "127.0.0.1", OperatorAddresses((), preferred=True)),
        (None, "localhost", OperatorAddresses((), preferred=True)),
        (None, "0.0.0.0", OperatorAddresses()),
        (None, "10.0.0.7", OperatorAddresses()),
        ((), "127.0.0.1", OperatorAddresses()),
        (("tcp://0.0.0.0:9000",), "127.0.0.1", OperatorAddresses(("tcp://0.0.0.0:9000",))),
    ],
)
def test_what_is_written_is_demanded_and_else_loopback_gets_a_port(listen, host, found):
    assert OperatorAddresses.of(listen, host) == found


def test_loopback_is_told_from_other_hosts():
    near = ["127.0.0.1", "127.1.2.3", "::1", "localhost", "localhost."]
    far = ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example", "", "127.0.0.1.example", os.sep]
    assert [each for each in (*near, *far) if is_loopback(each)] == near


async def test_events_are_told_at_a_unix_socket_alone(tmp_path: Path):
    parts = (Stub("stock", 0), Stub("stock", 1, "silent"), Stub("ratings", 0, program=True))
    async with reading(*parts) as operator:
        refused = await operator.get("/events")
    server = OperatorServer(System(*parts), OperatorAddresses((f"unix:{tmp_path}/o.sock",)))
    await server.start()
    transport = httpx.AsyncHTTPTransport(uds=f"{tmp_path}/o.sock")
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as here:
        told = await here.get("/events", params={"after": '{"stock 0": "7"}'})
        unread = await here.get("/events", params={"after": "7"})
    await server.stop()

    assert refused.status_code == 404
    assert (told.json(), unread.json()) == ({"stock 0": {"after": "7+"}}, {"stock 0": {"after": "+"}})


async def test_a_public_port_that_is_yet_to_be_chosen_keeps_no_free_one_from_operators():
    addresses = OperatorAddresses.of(None, "localhost", [0, served.PORT])
    server = OperatorServer(System(), addresses)
    await server.start()
    try:
        assert str(server.address).startswith("http://127.0.0.1:")
        assert str(served.PORT) not in str(server.address)
    finally:
        await server.stop()
