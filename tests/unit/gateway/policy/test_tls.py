"""Public addresses speak TLS by files of a certificate, and show another one once these have changed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography import x509

from meristem.errors import ConfigurationError
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.system.placement import Placement
from meristem.transports.http.server.certificate import CertificateFiles
from meristem.transports.http.server.certificate_facts import facts_of
from meristem.transports.http.server.http_server import HttpServer
from tests.unit.gateway.policy.test_routes import other

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


LATE = datetime(2061, 5, 4, 3, 2, 1, tzinfo=UTC)  # with four digits of a year


class Pair:
    """A certificate and its key as files, which can be issued anew."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        self.issue("shop.example")

    def issue(self, *names: str) -> None:
        made = self.authority.issue_cert(*names)
        for path, pems in ((self.certificate, made.cert_chain_pems), (self.key, [made.private_key_pem])):
            new = path.with_suffix(".new")
            new.write_bytes(b"".join(each.bytes() for each in pems))
            new.replace(path)

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.fixture
async def served(pair: Pair) -> AsyncIterator[tuple[CertificateFiles, int]]:
    files = CertificateFiles(pair.certificate, pair.key, where="[gateway.tls]")
    server = HttpServer({}, other, policy=Gatekeeper(GatewayTable(https=True)))
    await files.start()
    await server.start("tcp://127.0.0.1:0", public=True, tls=files.context)
    assert server.addresses[0].startswith("https://")
    yield files, int(server.addresses[0].rpartition(":")[2])
    for each in OPENED:
        each.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await each.wait_closed()
    OPENED.clear()
    await server.stop()
    await files.stop()


OPENED: list[asyncio.StreamWriter] = []


async def ask(port: int, context: ssl.SSLContext, name: str | None) -> tuple[bytes, Any, Any]:
    """The answer, who proved to be there, and the connection's streams."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
    OPENED.append(writer)
    answer = await again(reader, writer)
    return answer, writer.get_extra_info("ssl_object"), (reader, writer)


async def again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET /x HTTP/1.1\r\nhost: shop.example\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    return head + await reader.readexactly(len(b"other /x"))


async def test_a_new_certificate_is_shown_without_a_start_and_open_connections_go_on(pair: Pair, served: Any):
    files, port = served
    answer, shown, (reader, writer) = await ask(port, pair.client(), "shop.example")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"strict-transport-security: max-age=31536000" in answer
    assert shown.selected_alpn_protocol() == "http/1.1"
    assert not files.look()

    pair.issue("new.example")
    assert files.look()

    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(port, pair.client(), "shop.example")
    assert (await ask(port, pair.client(), "new.example"))[0].startswith(b"HTTP/1.1 200 ")
    assert (await again(reader, writer)).startswith(b"HTTP/1.1 200 ")
    nameless = pair.client()
    nameless.check_hostname = False
    _, shown, _ = await ask(port, nameless, None)
    assert "new.example" in str(shown.getpeercert())


async def test_what_is_no_pair_leaves_the_last_good_one(pair: Pair, served: Any, caplog: pytest.LogCaptureFixture):
    files, port = served
    pair.key.write_text("nothing")
    assert not files.look()
    assert "the certificate from before is still shown" in caplog.text
    assert (await ask(port, pair.client(), "shop.example"))[0].startswith(b"HTTP/1.1 200 ")
    pair.issue("shop.example")
    assert files.look()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_an_old_version_of_tls_and_no_tls_are_not_spoken_to(pair: Pair, served: Any):
    old = pair.client()
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await ask(served[1], old, "shop.example")
    reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
    writer.write(b"GET /x HTTP/1.1\r\nhost: shop.example\r\n\r\n")
    OPENED.append(writer)
    with contextlib.suppress(ConnectionError):
        assert b"200" not in await asyncio.wait_for(reader.read(), 30)


def test_files_that_are_no_pair_are_refused_at_the_start(pair: Pair, tmp_path: Path):
    key = pair.key.read_bytes()
    pair.issue("shop.example")
    pair.key.write_bytes(key)
    with pytest.raises(
        ConfigurationError, match=r"\[gateway.tls\]: .*cert.pem and .*key.pem .* do not belong together"
    ):
        CertificateFiles(pair.certificate, pair.key, where="[gateway.tls]")
    with pytest.raises(ConfigurationError, match="No such file"):
        CertificateFiles(tmp_path / "none.pem", pair.key, where="[gateway.tls]")


def test_the_files_are_found_from_the_placement(tmp_path: Path):
    file = tmp_path / "one.toml"
    file.write_text('[gateway.tls]\ncertificate = "tls/cert.pem"\nkey = "/keys/key.pem"\n')
    placement = Placement.read(file)
    assert placement.is_secure
    assert placement.gateway is not None
    assert placement.gateway.tls is not None
    assert [str(each) for each in placement.gateway.tls.files()] == [str(tmp_path / "tls/cert.pem"), "/keys/key.pem"]


async def test_a_certificate_that_is_awaited_is_shown_as_soon_as_it_is_there(
    tmp_path: Path, pair: Pair, caplog: pytest.LogCaptureFixture
):
    file = tmp_path / "both.pem"
    files = CertificateFiles(file, file, where="[gateway.tls.acme]", awaited=True)
    server = HttpServer({}, other, policy=Gatekeeper(GatewayTable()))
    await server.start("tcp://127.0.0.1:0", public=True, tls=files.context)
    port = int(server.addresses[0].rpartition(":")[2])
    for text in (None, b"half of it", pair.certificate.read_bytes()):
        if text is not None:
            file.write_bytes(text)
        assert not files.look()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(port, pair.client(), "shop.example")
    assert "there is none yet" in caplog.text
    file.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    assert files.look()
    answer, _, _ = await ask(port, pair.client(), "shop.example")
    assert answer.startswith(b"HTTP/1.1 200")
    await server.stop()


def test_of_a_certificate_it_is_known_for_whom_and_when_it_is(tmp_path: Path):
    made = trustme.CA().issue_cert("shop.example", "127.0.0.1", "::1", not_after=LATE).cert_chain_pems[0].bytes()
    found, known = facts_of(made.decode()), x509.load_pem_x509_certificate(made)
    assert set(found.hosts) == {"shop.example", "127.0.0.1", "::1"}
    assert found.since == known.not_valid_before_utc.timestamp()
    assert found.until == LATE.timestamp()
    for wrong in ("", "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----"):
        with pytest.raises(ValueError, match=r"no certificate|cannot be read"):
            facts_of(wrong)


@pytest.mark.parametrize("size", [100_000, 5_000_000])
async def test_who_sends_a_body_that_is_refused_reads_why_over_tls_too(pair: Pair, size: int):
    files = CertificateFiles(pair.certificate, pair.key, where="[gateway.tls]")
    server = HttpServer({}, other, policy=Gatekeeper(GatewayTable(body_bytes=10)))
    await server.start("tcp://127.0.0.1:0", public=True, tls=files.context)
    trusting = pair.client()
    trusting.check_hostname = False

    def ask() -> int:
        port = int(server.addresses[0].rpartition(":")[2])
        client = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=30)
        client.request("POST", "/", body=b"x" * size)
        status = client.getresponse().status
        client.close()
        return status

    assert [await asyncio.to_thread(ask) for _ in range(3)] == [413] * 3
    await server.stop()
