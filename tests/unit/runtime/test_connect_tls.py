"""Programs outside call a system by TLS: what doesn't verify is refused before a request leaves, and told why."""

import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from meristem import CallError, Code, ConfigurationError, Contract, Service, System, connect, operation, safe
from meristem.testing import running
from meristem.transports.http.address import Address
from meristem.transports.http.server.http_server import HttpServer


class Desk(Contract, Protocol, package="tls.desk.v1"):
    @safe(http="GET /named/{name}")
    async def named(self, name: str) -> str: ...

    @safe(http="GET /to/{count}")
    def to(self, count: int) -> AsyncIterator[int]: ...

    @operation(http="POST /ring")
    async def ring(self) -> None: ...


class DeskService(Desk, Service):
    rung = 0

    async def named(self, name: str) -> str:
        return name * 3

    async def to(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def ring(self) -> None:
        DeskService.rung += 1


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@asynccontextmanager
async def served(cert: trustme.LeafCert | None, *, clients: trustme.CA | None = None) -> AsyncIterator[str]:
    """The address of the desk, by TLS where there is a certificate; `clients` signs those that may call."""
    context = None
    if cert is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(context)
        if clients is not None:
            clients.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
    async with running(System("tls", services=[DeskService]), where="local") as app:
        server = HttpServer(app.routes())
        await server.start(f"{'tcp' if cert is None else 'https'}://127.0.0.1:0", public=True, tls=context)
        try:
            yield server.addresses[0]
        finally:
            await server.stop()


@contextmanager
def alerting(ca: trustme.CA) -> Iterator[str]:
    """The address of a server that says by an alert why it refuses a client, which asyncio's own don't."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    ca.issue_cert("127.0.0.1").configure_cert(context)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the test is over
                return
            with connection, suppress(OSError):
                answering = connection.dup()
                with suppress(ssl.SSLError):
                    context.wrap_socket(connection, server_side=True).recv(1)
                # As servers do that want their alert to arrive: what is unread at a close would reset the connection.
                with answering:
                    answering.shutdown(socket.SHUT_WR)
                    while answering.recv(4096):
                        pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


async def refused(address: str, tls: ssl.SSLContext | None) -> str:
    """Why the desk can't be rung there; it is not, and the caller knows."""
    before = DeskService.rung
    async with connect(address, tls=tls) as system:
        with pytest.raises(CallError) as caught:
            await system.client(Desk).ring()
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.may_have_happened is False
    assert DeskService.rung == before
    return caught.value.message


async def test_calls_and_streams_go_by_tls(ca: trustme.CA) -> None:
    async with served(ca.issue_cert("127.0.0.1")) as address, connect(address, tls=trusting(ca)) as system:
        assert address.startswith("https://127.0.0.1:")
        assert await system.client(Desk).named("long " * 20_000) == "long " * 60_000
        assert [each async for each in system.client(Desk).to(3)] == [0, 1, 2]
        assert await system.client(Desk).named("a") == "aaa"


async def test_without_a_context_the_machine_says_whom_to_trust(
    ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    async with served(ca.issue_cert("127.0.0.1")) as address:
        assert "its certificate does not hold" in await refused(address, None)

        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        async with connect(address) as system:
            assert await system.client(Desk).named("a") == "aaa"


async def test_a_stranger_s_certificate_is_refused_with_the_remedy(ca: trustme.CA) -> None:
    async with served(trustme.CA().issue_cert("127.0.0.1")) as address:
        told = await refused(address, trusting(ca))

    assert "its certificate does not hold: unable to get local issuer certificate" in told
    assert "tls=ssl.create_default_context(cafile=…)" in told


async def test_a_certificate_of_another_host_is_refused(ca: trustme.CA) -> None:
    async with served(ca.issue_cert("shop.example")) as address:
        assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in await refused(address, trusting(ca))


async def test_an_expired_certificate_is_refused(ca: trustme.CA) -> None:
    expired = ca.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1))
    async with served(expired) as address:
        assert "certificate has expired" in await refused(address, trusting(ca))


async def test_a_client_proves_itself_by_its_own_certificate(ca: trustme.CA) -> None:
    context = trusting(ca)
    ca.issue_cert("reports").configure_cert(context)
    async with served(ca.issue_cert("127.0.0.1"), clients=ca) as address, connect(address, tls=context) as system:
        assert await system.client(Desk).named("a") == "aaa"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("known_by", ["nobody", "strangers"])
async def test_a_client_that_does_not_prove_itself_learns_so_before_it_did_anything(
    ca: trustme.CA, version: ssl.TLSVersion, known_by: str
) -> None:
    context = trusting(ca)
    context.maximum_version = version
    if known_by == "strangers":
        trustme.CA().issue_cert("reports").configure_cert(context)
    with alerting(ca) as address:
        told = await refused(address, context)

    assert "it refuses this client's certificate, or that there is none" in told
    assert "load_cert_chain" in told


async def test_a_server_that_hangs_up_without_an_alert_may_have_asked_for_a_certificate(ca: trustme.CA) -> None:
    context = trusting(ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with served(ca.issue_cert("127.0.0.1"), clients=ca) as address:
        assert "TLS was ended by the server without a reason; give one that it trusts" in await refused(
            address, context
        )


async def test_a_server_without_tls_is_named_as_one(ca: trustme.CA) -> None:
    async with served(None) as address:
        told = await refused(address.replace("tcp:", "https:"), trusting(ca))

    assert "what answers there speaks no TLS; without it the address begins with http://" in told


async def test_a_server_with_tls_is_named_to_who_calls_it_without(ca: trustme.CA) -> None:
    async with (
        served(ca.issue_cert("127.0.0.1")) as address,
        connect(address.replace("https:", "http:")) as system,
    ):
        with pytest.raises(CallError) as caught:
            await system.client(Desk).ring()

    assert caught.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "tcp://127.0.0.1:1", "unix:/run/desk.sock"])
def test_a_context_beside_an_address_without_tls_is_a_mistake(address: str) -> None:
    with pytest.raises(ConfigurationError, match="tls= is for an address that begins with https://"):
        connect(address, tls=ssl.create_default_context())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://shop.example", "https://shop.example:443"),
        ("https://shop.example/", "https://shop.example:443"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_secure_address_has_the_port_of_https_unless_it_says_another(text: str, meant: str) -> None:
    assert str(Address.parse(text)) == meant
    assert Address.parse(meant) == Address.parse(text)


@pytest.mark.parametrize(
    "text", ["https://", "https:shop", "https://shop/api", "https://me@shop", "https://shop:x", "https://shop?a=1"]
)
def test_what_is_no_server_s_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address"):
        Address.parse(text)


async def test_a_server_that_has_no_certificate_does_not_pretend() -> None:
    with pytest.raises(ConfigurationError, match="it serves no TLS by itself; let a proxy do that"):
        await HttpServer({}).start("https://127.0.0.1:0")
