"""Beyond this machine the dashboard is there where a placement asks for it: by its names, and over TLS alone."""

from __future__ import annotations

import datetime as dt
import ssl

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meristem.cli.dashboards import dashboard_of
from meristem.errors import ConfigurationError
from meristem.operators.browser_address import browser_address
from meristem.operators.server import OperatorAddresses, OperatorServer, PublicDashboard
from meristem.system.placement import Placement
from meristem.system.placement_tables import OperatorTable, PublicTable
from meristem.system.state_directory import StateDirectory

from .test_actions import SIGN_IN, Nothing, blast, browser, served

BLAST = "/meristem.operator.v1.Furnace/Blast"
HOST = "ops.example.org"
BY_PROXY = {"host": HOST, "x-forwarded-proto": "https"}
PUBLIC = PublicDashboard((HOST,))


@pytest.mark.parametrize("listen", ["tcp://0.0.0.0:0", "tcp://127.0.0.1:0"])
async def test_behind_a_proxy_that_speaks_tls_people_sign_in_and_act_by_its_name(tmp_path, monkeypatch, listen):
    async with served(tmp_path, monkeypatch, listen, PUBLIC) as it:
        address = it.address.replace("0.0.0.0", "127.0.0.1")
        async with httpx.AsyncClient(base_url=address, timeout=20, headers=BY_PROXY) as client:
            assert (await client.get("/")).status_code == 401
            entered = await client.post("/sign-in", data={"token": SIGN_IN.token})
            cookie = entered.headers["set-cookie"]
            session = {"cookie": cookie.partition(";")[0]}
            acted = await client.post(BLAST, json=blast(), headers={**session, "origin": f"https://{HOST}"})
            foreign = await client.post(BLAST, json=blast(), headers={**session, "origin": "https://evil.example"})
            plain = await client.get("/", headers={"x-forwarded-proto": "http"})
            rebound = await client.get("/", headers={"host": "evil.example"})
        async with browser(address) as client:
            assert (await client.get("/health/ready")).status_code == 200
            untold = await client.post(BLAST, json=blast(), headers={"host": HOST})
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= {each.strip() for each in cookie.split(";")}
    assert (acted.status_code, foreign.status_code) == (200, 403)
    assert (plain.status_code, "speaks no plain HTTP beyond this machine" in plain.text) == (403, True)
    assert (untold.status_code, rebound.status_code) == (403, 403)


def certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]), dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ops.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ops.key").write_bytes(key.private_bytes(*form))


async def test_with_a_certificate_the_address_speaks_tls_itself(tmp_path):
    certificate(tmp_path)
    state = StateDirectory(tmp_path, "shop")
    state.prepare()
    table = OperatorTable(public=PublicTable(hosts=(HOST,), certificate="ops.pem", key="ops.key"))
    dashboard = dashboard_of(state, {}, table)(Nothing())
    server = OperatorServer(Nothing(), OperatorAddresses(("tcp://0.0.0.0:0",)), dashboard)
    await server.start()
    try:
        address = server.address.replace("0.0.0.0", "127.0.0.1")
        port = address.rpartition(":")[2]
        link = server.link
        trusted = ssl.create_default_context(cafile=str(tmp_path / "ops.pem"))
        asked = {"headers": {"host": f"{HOST}:{port}"}, "extensions": {"sni_hostname": HOST}}
        async with httpx.AsyncClient(base_url=address, timeout=20, verify=trusted) as client:
            entered = await client.get(f"/?token={dashboard.sign_in.token}", **asked)
            with pytest.raises(httpx.HTTPError):
                await client.get(address.replace("https", "http"))
    finally:
        await server.stop()
    assert address.startswith("https://")
    assert link == f"https://{HOST}:{port}/?token={dashboard.sign_in.token}"
    assert entered.status_code == 303
    assert entered.headers["set-cookie"].endswith("Secure")


@pytest.mark.parametrize(
    ("addresses", "hosts", "shown"),
    [
        (("unix:/run/operator.sock", "http://127.0.0.1:8001"), (HOST,), "http://127.0.0.1:8001"),
        (("http://[::1]:8001",), (), "http://[::1]:8001"),
        (("http://0.0.0.0:9000",), (HOST, "other.example"), f"https://{HOST}"),
        (("https://0.0.0.0:9000",), (HOST,), f"https://{HOST}:9000"),
        (("http://0.0.0.0:9000",), (), None),
        (("unix:/run/operator.sock",), (HOST,), None),
    ],
)
def test_a_browser_is_led_to_this_machine_or_else_to_the_first_host_over_tls(addresses, hosts, shown):
    assert browser_address(addresses, hosts) == shown


def test_what_is_no_certificate_is_said_at_the_start(tmp_path):
    (tmp_path / "ops.pem").write_text("no certificate")
    table = OperatorTable(public=PublicTable(hosts=(HOST,), certificate="ops.pem", key="ops.pem"))
    with pytest.raises(ConfigurationError, match="ops.pem and ops.pem are no certificate with its key"):
        dashboard_of(StateDirectory(tmp_path, "shop"), {}, table)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("hosts = []", "hosts"),
        ('hosts = ["ops.example.org"]\ncertificate = "ops.pem"', "certificate and key belong together"),
        ('hosts = ["https://ops.example.org"]', "a name alone"),
    ],
)
def test_a_placement_that_asks_for_it_wrongly_is_refused(tmp_path, written, sentence):
    file = tmp_path / "split.toml"
    file.write_text(f'[processes]\nmain = ["*"]\n[operator.public]\n{written}\n')
    with pytest.raises(ConfigurationError, match=sentence):
        Placement.read(file)
