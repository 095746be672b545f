"""The passwords of a database's URL are in no line, no answer, no command line and no file that the command writes."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import trustme

from tests.suites import command
from tests.suites.postgresql_servers import Server, servers_of_its_own
from tests.suites.served import served

from .conftest import PATIENCE

ORDERS = Path(__file__).parents[2] / "examples/quickstart/orders.py"
SERVICES = ("stock", "orders", "statistics")
PASSWORD, LISTENS = "hunter-one@home", "hunter-two@home"
PLACEMENT = """
[processes]
front = ["orders"]
back = ["stock", "statistics"]
[resources]
database = "{}"
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """One that takes nobody without TLS and a password; the role `listener` has another one."""
    authority = trustme.CA()
    with servers_of_its_own("server", options=("ssl=on", "password_encryption=scram-sha-256")) as [server]:
        server.make()
        own = authority.issue_cert("localhost")
        server.write("server.key", own.private_key_pem.bytes())
        server.write("server.crt", own.cert_chain_pems[0].bytes())
        server.write("pg_hba.conf", "local all all trust\nhostssl all all all scram-sha-256\n")
        server.control("start")
        authority.cert_pem.write_to_path(server.folder / "ca.pem")
        for role, password in (*((each, PASSWORD) for each in SERVICES), ("listener", LISTENS)):
            server.sql(
                f"CREATE ROLE {role} LOGIN PASSWORD {psycopg.sql.quote(password)}",
                f"GRANT CREATE, TEMPORARY ON DATABASE postgres TO {role}",
                f"CREATE SCHEMA {role} AUTHORIZATION {role}",
            )
        yield server


def url(server: Server, password: str = PASSWORD) -> str:
    tls = f"sslmode=verify-full&sslrootcert={server.folder}/ca.pem"
    place = f"localhost:{server.port}/postgres"
    listens = quote(f"postgresql://listener:{quote(LISTENS, safe='')}@{place}?{tls}", safe="")
    return (
        f"postgresql://{{service}}:{quote(password, safe='')}@{place}?schema={{service}}&pool=2&{tls}&listen={listens}"
    )


def command_lines() -> str:
    """Those of all processes of this machine."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(each.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has ended
    return "\n".join(found)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="command lines are looked up in /proc")
async def test_nobody_is_told_a_password_of_the_url(server: Server, tmp_path: Path):
    shutil.copy(ORDERS, tmp_path)
    (tmp_path / "wrong.toml").write_text(PLACEMENT.format(url(server, "hunter-wrong")))
    told: list[str] = []

    async def run(*arguments: str, placement: str = "placement.toml", code: int = 0) -> command.Ended:
        process = await command.begin(*arguments, "--placement", placement, cwd=tmp_path)
        ended = await command.ended(process, PATIENCE)
        told.append(ended.out + ended.err)
        assert ended.code == code, told[-1]
        return ended

    with served(tmp_path, "orders:system", PLACEMENT.format(url(server))) as running:
        process = await command.begin("ps", cwd=tmp_path)
        ended = await command.ended(process, PATIENCE)
        assert ended.code == 0
        told += [ended.out + ended.err, await asyncio.to_thread(command_lines)]
        await run("settings", "orders:system")
    told += running.lines
    await run("graph", "orders:system", "--json")
    await run("migrate", "orders:system", "--plan")
    refused = await run("migrate", "orders:system", placement="wrong.toml", code=1)
    assert "password authentication failed" in refused.err
    await run("data", "copy", "--system", "orders:system", "--to", f"sqlite:///{tmp_path}/{{service}}.db")
    told += [each.read_text(errors="replace") for each in (tmp_path / ".meristem").rglob("*") if each.is_file()]

    everything = "\n".join(told)
    assert "hunter" not in everything, [line for line in everything.splitlines() if "hunter" in line][:3]
