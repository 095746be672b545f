"""PostgreSQL by TLS: what is trusted and by whom, told alike by the two libraries, and no password told by either."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psycopg
import pytest
import trustme
from sqlalchemy import text

from meristem.errors import StorageError
from meristem.storage.database import database_for
from tests.suites.postgresql_servers import Server, servers_of_its_own

PASSWORD = "+".join(("p@ss:w/ö #1", "100%sure", "%41"))  # of whose signs each means something in a URL
SCRAM = ("password_encryption=scram-sha-256",)
ENCRYPTED = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
HBA = """
local all all trust
hostssl all shop all cert
hostssl all scram all scram-sha-256
hostnossl all plain all scram-sha-256
"""


class Place(NamedTuple):
    """A server with a certificate for `localhost`, and the folder of what its clients know."""

    server: Server
    folder: Path

    def url(self, role: str, *options: str, host: str = "localhost", password: str = PASSWORD) -> str:
        query = "&".join(
            [f"schema={role}", *(each.replace("=", f"={self.folder}/", 1) if "." in each else each for each in options)]
        )
        return f"postgresql://{role}:{quote(password, safe='')}@{host}:{self.server.port}/postgres?{query}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("clients")
    ours, others = trustme.CA(), trustme.CA()
    with servers_of_its_own("server", options=("ssl=on", "ssl_ca_file=root.crt", *SCRAM)) as [server]:
        server.make()
        own = ours.issue_cert("localhost")
        server.write("server.key", own.private_key_pem.bytes())
        server.write("server.crt", own.cert_chain_pems[0].bytes())
        server.write("root.crt", ours.cert_pem.bytes())
        server.write("pg_hba.conf", HBA)
        server.control("start")
        for role in ("scram", "plain", "shop"):
            server.sql(
                f"CREATE ROLE {role} LOGIN PASSWORD {psycopg.sql.quote(PASSWORD)}",
                f"CREATE SCHEMA {role} AUTHORIZATION {role}",
            )
        for name, authority in (("ours", ours), ("others", others)):
            authority.cert_pem.write_to_path(folder / f"{name}.pem")
            client = authority.issue_cert(common_name="shop")
            client.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
            client.private_key_pem.write_to_path(folder / f"{name}.key")
            (folder / f"{name}.key").chmod(0o600)
        (folder / "open.key").write_bytes((folder / "ours.key").read_bytes())
        (folder / "open.key").chmod(0o644)
        (folder / "no.pem").write_text("no certificate")
        yield Place(server, folder)


async def by_asyncpg(url: str) -> bool:
    """Whether the connection of statements is encrypted."""
    database = database_for(url, name="shop")
    await database.start()
    try:
        return bool(await database.fetch_value(ENCRYPTED))
    finally:
        await database.stop()


async def by_psycopg(url: str) -> bool:
    """Whether that of migrations is."""

    def ask() -> bool:
        with database_for(url, name="shop").migration() as connection:
            return bool(connection.scalar(ENCRYPTED))

    return await asyncio.to_thread(ask)


BY = pytest.mark.parametrize("by", [by_asyncpg, by_psycopg])


@BY
@pytest.mark.parametrize(
    ("role", "options", "host"),
    [
        ("scram", [], "localhost"),
        ("scram", ["sslmode=require"], "127.0.0.1"),
        ("scram", ["sslmode=verify-ca", "sslrootcert=ours.pem"], "127.0.0.1"),
        ("scram", ["sslmode=verify-full", "sslrootcert=ours.pem"], "localhost"),
        ("shop", ["sslmode=verify-full", "sslrootcert=ours.pem", "sslcert=ours.crt", "sslkey=ours.key"], "localhost"),
    ],
)
async def test_a_connection_is_encrypted_and_whom_it_may_reach_is_said_by_the_url(by, role, options, host, place):
    assert await by(place.url(role, *options, host=host))


@BY
@pytest.mark.parametrize(
    ("options", "host", "told"),
    [
        (["sslmode=verify-full", "sslrootcert=others.pem"], "localhost", "not trusted by sslrootcert=.*others.pem"),
        (["sslmode=require", "sslrootcert=others.pem"], "localhost", "not trusted by sslrootcert=.*others.pem"),
        (
            ["sslmode=verify-full", "sslrootcert=ours.pem"],
            "127.0.0.1",
            "for another name .*127.0.0.1.*name it in the URL",
        ),
        (["sslmode=verify-full"], "localhost", "needs to know whom to trust: add sslrootcert=FILE"),
        (
            ["sslmode=verify-ca", "sslrootcert=none.pem"],
            "localhost",
            "sslrootcert=.*none.pem can't be read: no such file",
        ),
        (["sslmode=verify-ca", "sslrootcert=no.pem"], "localhost", "sslrootcert=.*no.pem is of no use"),
        (
            ["sslmode=verify-ca", "sslrootcert=system"],
            "localhost",
            "sslrootcert=system is not read by all: name the file",
        ),
        (["sslmode=require", "sslcert=ours.crt"], "localhost", "sslcert and sslkey.* are given together"),
        (["sslmode=require", "sslcert=ours.crt", "sslkey=none.key"], "localhost", "sslkey=.*none.key can't be read"),
        (
            ["sslmode=require", "sslcert=ours.crt", "sslkey=others.key"],
            "localhost",
            "others.key is of no use: .*mismatch",
        ),
    ],
)
async def test_what_is_not_trusted_is_told_with_what_to_do_and_not_tried_again(
    by, options, host, told, place, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))  # both libraries look below it for what the URL doesn't name

    with pytest.raises(StorageError, match=f"the server at {host}:.* is not talked to: .*{told}") as refused:
        await by(place.url("scram", *options, host=host))

    assert refused.value.lasting
    assert PASSWORD not in str(refused.value)
    assert quote(PASSWORD, safe="") not in str(refused.value)


@BY
async def test_a_server_without_tls_is_not_talked_to_where_it_must_have_it(by, place):
    with servers_of_its_own("bare") as [bare]:
        bare.make()
        bare.control("start")
        url = f"postgresql://postgres@127.0.0.1:{bare.port}/postgres?sslmode=require"

        with pytest.raises(StorageError, match="is not talked to: it has no TLS, which sslmode=require asks for"):
            await by(url)


@BY
@pytest.mark.parametrize(
    ("role", "options"),
    [
        ("shop", ["sslmode=require"]),  # without the certificate that it must have
        ("scram", ["sslmode=disable"]),
        ("plain", ["sslmode=require"]),
    ],
)
async def test_who_is_refused_by_the_server_is_told_so_without_the_password(by, role, options, place):
    with pytest.raises(
        StorageError, match="refuses the connection: .*(client certificate|no pg_hba.conf entry)"
    ) as told:
        await by(place.url(role, *options))

    assert PASSWORD not in str(told.value)


@BY
async def test_so_is_who_has_another_password(by, place):
    with pytest.raises(StorageError, match="refuses the connection: .*password authentication failed") as told:
        await by(place.url("scram", "sslmode=require", password="hunter-2-%zz"))

    assert "hunter" not in str(told.value)


async def test_a_key_that_others_can_read_is_refused(place):
    options = ["sslmode=require", "sslcert=ours.crt", "sslkey=open.key"]

    with pytest.raises(StorageError, match="sslkey=.*open.key can be read by others: `chmod 600` it"):
        await by_psycopg(place.url("shop", *options))


async def test_a_client_whose_certificate_the_server_does_not_trust_is_told_so(place):
    """By TLS 1.3 the server ends the connection behind the handshake, as it does where it is restarted."""
    url = place.url("shop", "sslmode=require", "sslcert=others.crt", "sslkey=others.key")

    database = database_for(url, name="shop")
    database._driver._opener._patience = 0.0

    with pytest.raises(StorageError, match="sslcert"):
        await database.start()
    with pytest.raises(StorageError, match="ends the TLS handshake .*is sslcert signed by whom it trusts"):
        await by_psycopg(url)
