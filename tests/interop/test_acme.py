"""Certificates from a real authority: Caddy's, which asks at port 80 of an address of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import shutil
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from meristem.gateway.acme_challenges import AcmeChallenges
from meristem.gateway.certificate_folder import CertificateFolder
from meristem.gateway.certificate_order import CertificateOrders
from meristem.gateway.certificate_renewal import CertificateRenewal
from meristem.gateway.policy.firewall_table import FirewallTable
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.policy_in_force import PolicyInForce
from meristem.transports.http.server.certificate import CertificateFiles
from meristem.transports.http.server.http_server import HttpServer
from tests.processes.conftest import Command, ended, meristem, told
from tests.unit.gateway.policy.test_routes import other

from .caddy import CaddyAuthority, why_not

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = ["ended"]  # a fixture
HOST = "shop.example"
PATIENCE = 60.0
CLOSED = {"action": "deny"}  # to all: what the authority asks is answered before


@pytest.fixture
def address() -> str:
    """An address of this machine, of which nobody else uses port 80."""
    found = f"127.93.{random.randrange(256)}.{random.randrange(1, 255)}"
    if (why := why_not(found)) is not None:
        pytest.skip(why)
    return found


@pytest.fixture
async def authority(tmp_path: Path, address: str) -> AsyncIterator[CaddyAuthority]:
    folder = tmp_path / "authority"
    folder.mkdir()
    made = CaddyAuthority(folder, address, f"{HOST} www.{HOST}")
    await made.start()
    yield made
    await made.stop()


class Edge:
    """What a replica of an edge has: its server by TLS and at port 80, and what orders for it."""

    def __init__(self, state: Path, authority: CaddyAuthority, hosts: Sequence[str] = (HOST,)) -> None:
        self.folder = CertificateFolder(state)
        self.folder.prepare()
        self.files = CertificateFiles(self.folder.certificate, self.folder.certificate, where="TLS", awaited=True)
        self._authority = authority
        self.later = 0.0  # seconds by which its clock is ahead
        self.ordered = 0
        self.longest = PATIENCE
        self.renewal = CertificateRenewal(
            self.folder, authority.directory, tuple(hosts), self._orders, now=lambda: time.time() + self.later
        )
        firewall = msgspec.convert({"rules": [CLOSED | {"paths": ["/.well-known/*"]}]}, FirewallTable)
        keeper = Gatekeeper(GatewayTable(hosts=("other.example", HOST), https=True, firewall=firewall))
        self.server = HttpServer({}, other, policy=PolicyInForce(keeper, AcmeChallenges(self.folder)))
        self.port = 0

    def _orders(self) -> CertificateOrders:
        self.ordered += 1
        return CertificateOrders(
            self.folder, self._authority.directory, "", str(self._authority.root), longest=self.longest
        )

    async def start(self, address: str) -> None:
        await self.server.start(f"http://{address}:80", public=True, shared=True)
        await self.server.start("tcp://127.0.0.1:0", public=True, tls=self.files.context)
        self.port = int(self.server.addresses[-1].rpartition(":")[2])

    async def step(self) -> None:
        """What its thread does; then it looks for what has come."""
        await asyncio.to_thread(self.renewal.step)
        self.files.look()

    async def ask(self) -> bytes:
        """The number of the certificate by which it answers, verified from the authority's root."""
        trusted = ssl.create_default_context(cafile=self._authority.root)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=trusted, server_hostname=HOST)
        writer.write(f"GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        number: bytes = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        return number


@pytest.fixture
async def edges() -> AsyncIterator[list[Edge]]:
    made: list[Edge] = []
    yield made
    for each in made:
        await each.server.stop()


async def test_the_first_certificate_is_proved_behind_the_firewall_and_kept_for_its_user(
    tmp_path: Path, address: str, authority: CaddyAuthority, edges: list[Edge]
):
    edge = Edge(tmp_path, authority)
    edges.append(edge)
    await edge.start(address)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await edge.ask()

    await edge.step()
    first = await edge.ask()
    await edge.step()
    restarted = Edge(tmp_path, authority)
    await restarted.step()

    assert first
    assert (edge.ordered, restarted.ordered, authority.orders) == (1, 0, 1)
    assert edge.files.facts is not None
    assert edge.files.facts.hosts == (HOST,)
    assert 11 < (edge.files.facts.until - time.time()) / 3600 <= 12
    assert {each.stat().st_mode & 0o77 for each in edge.folder.path.rglob("*")} == {0}
    assert not list((edge.folder.path / "challenges").iterdir())


async def test_a_certificate_is_renewed_before_its_end_and_no_request_fails(
    tmp_path: Path, address: str, authority: CaddyAuthority, edges: list[Edge]
):
    edge = Edge(tmp_path, authority)
    edges.append(edge)
    await edge.start(address)
    await edge.step()
    first = await edge.ask()
    is_over = asyncio.Event()

    async def visit() -> set[bytes]:
        seen = set()
        while not is_over.is_set():
            seen.add(await edge.ask())
        return seen

    visitors = [asyncio.create_task(visit()) for _ in range(3)]
    edge.later = 7 * 3600  # less than two thirds of 12 hours, by a thirtieth
    await edge.step()
    early = edge.ordered
    edge.later = 9 * 3600
    await edge.step()
    second = await edge.ask()
    await asyncio.sleep(0.1)
    is_over.set()
    seen = set.union(*(await asyncio.gather(*visitors)))

    assert seen == {first, second}
    assert first != second
    assert authority.orders == 2
    assert early == 2, "it has asked whether the authority wants to renew, and ordered nothing"


async def test_while_the_authority_is_away_the_old_certificate_is_shown(
    tmp_path: Path, address: str, authority: CaddyAuthority, edges: list[Edge], caplog: pytest.LogCaptureFixture
):
    edge = Edge(tmp_path, authority)
    edges.append(edge)
    await edge.start(address)
    await edge.step()
    first = await edge.ask()
    await authority.stop()
    edge.later = 9 * 3600
    await edge.step()
    await edge.step()
    away, ordered = edge.renewal.history, edge.ordered
    still = await edge.ask()
    await authority.start()
    edge.later += 31
    await edge.step()

    assert still == first
    assert (away.failures, ordered) == (1, 2), "a second attempt waits for its time"
    assert away.failure == f"{authority.directory} cannot be reached: Connection refused"
    assert 15 <= away.next_at - away.failed_at <= 30
    assert away.failure in caplog.text
    assert await edge.ask() != first
    assert edge.renewal.history.failures == 0


async def test_of_two_replicas_one_orders_and_both_prove_and_show_it(
    tmp_path: Path, address: str, authority: CaddyAuthority, edges: list[Edge]
):
    for _ in range(2):
        edges.append(Edge(tmp_path, authority))
        await edges[-1].start(address)
    together = threading.Barrier(2)

    def step(edge: Edge) -> None:
        together.wait(PATIENCE)
        edge.renewal.step()

    await asyncio.gather(*(asyncio.to_thread(step, each) for each in edges))
    for each in edges:
        each.files.look()

    assert sum(each.ordered for each in edges) == authority.orders == 1
    assert len({await each.ask() for each in edges}) == 1


async def test_what_an_authority_refuses_is_told_in_one_line(
    tmp_path: Path, address: str, authority: CaddyAuthority, monkeypatch: pytest.MonkeyPatch
):
    async def failure(directory: str, host: str = HOST) -> str:
        monkeypatch.setattr(authority, "directory", directory)
        edge = Edge(tmp_path, authority, [host])
        edge.longest = 3.0
        await edge.step()
        return edge.renewal.history.failure

    right = authority.directory
    unproved = await failure(right, f"away.{HOST}")
    silent = await failure(right)
    wrong = await failure(right.replace("/acme/local/", "/"))
    monkeypatch.setattr(authority, "root", "/etc/ssl/certs/ca-certificates.crt")
    untrusted = await failure(right, f"www.{HOST}")

    assert unproved.startswith(f"away.{HOST} was not proved: ")
    assert silent.startswith(f"{HOST} was not proved: "), f"nothing listens at {address}"
    assert "does not answer as ACME asks (RFC 8555)" in wrong
    assert "does not prove who it is" in untrusted
    assert "the setting `ca`" in untrusted
    assert not any("\n" in each for each in (unproved, silent, wrong, untrusted))


PLACED = """
[processes]
edge = {{ services = [], replicas = 2 }}
prices = ["prices"]
rest = ["*"]

[gateway]
hosts = ["{host}", "*.{host}"]
https = true

[gateway.tls]
http = "{address}:80"

[gateway.tls.acme]
directory = "{directory}"
agree_to_terms = true
"""


async def test_a_system_of_two_edges_gets_its_certificate_by_its_placement(
    tmp_path: Path,
    address: str,
    authority: CaddyAuthority,
    ended: list[Command],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("GUARDED_GATEWAY_TLS_ACME_CA", str(authority.root))
    shutil.copy(Path(__file__).parents[1] / "processes/guarded.py", tmp_path)
    (tmp_path / "placed.toml").write_text(PLACED.format(host=HOST, address=address, directory=authority.directory))
    run = await meristem(tmp_path, "run", "guarded.py", "--placement", "placed.toml", "--port", "0")
    ended.append(run)
    found = re.search(r"runs at https://127\.0\.0\.1:(\d+)", await run.shows("runs at"))
    assert found is not None
    await run.shows("holds until")
    trusted = ssl.create_default_context(cafile=authority.root)
    answer = await fetched("127.0.0.1", int(found[1]), trusted)
    plain = await fetched(address, 80, None)
    _, status = await told(tmp_path, "gateway", "status", "guarded.py")
    ordered = authority.orders
    text = (tmp_path / "placed.toml").read_text()
    (tmp_path / "placed.toml").write_text(text.replace("hosts = [", 'hosts = ["new.example", '))
    code, late = await told(tmp_path, "reload", "guarded.py", "--gateway")
    reloaded, _ = await told(tmp_path, "reload", "guarded.py")
    async with asyncio.timeout(PATIENCE):
        while authority.orders < 2:  # the other one is not issued: nothing proves new.example
            await asyncio.sleep(0.05)
    anew = [await fetched("127.0.0.1", int(found[1]), trusted), await fetched(address, 80, None)]
    _, later = await told(tmp_path, "gateway", "status", "guarded.py")

    await run.shows("there is no certificate yet")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert (code, "[gateway] hosts: the certificate is for others" in late) == (1, True)
    assert plain.startswith(b"HTTP/1.1 308 ")
    assert f"Certificate for {HOST}: until 20" in status
    assert (ordered, reloaded) == (1, 0)
    assert [each.split()[1] for each in anew] == [b"200", b"308"], "the old certificate is shown on"
    assert f"Certificate for {HOST}: until 20" in later
    assert "failed" not in later, "an attempt that is under way has not"


async def fetched(host: str, port: int, trusted: Any) -> bytes:
    """The answer, as soon as a certificate is shown."""
    async with asyncio.timeout(PATIENCE):
        while True:
            named = {"server_hostname": HOST} if trusted else {}
            try:
                reader, writer = await asyncio.open_connection(host, port, ssl=trusted, **named)
                break
            except (ssl.SSLError, ConnectionError):
                await asyncio.sleep(0.1)
        writer.write(f"GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer
