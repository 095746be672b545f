"""What the documentation says of backups on PostgreSQL, run as it stands there under load: it adds up, to the cent."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

import psycopg
import pytest

from tests.suites.postgresql import SERVER, require

from .banks import Schemas, check_cut, entries, killed, made, settled, started, transferring
from .conftest import PATIENCE, Command

PAGE = Path(__file__).parents[2] / "docs/data.md"


@pytest.fixture
def databases() -> Iterator[tuple[str, str]]:
    """The URL of a database with a schema for each service, and of one that a restore may make."""
    require()
    if shutil.which("pg_dump") is None:
        pytest.skip("pg_dump is not installed (Debian: apt-get install postgresql-client)")
    name = f"test_{uuid4().hex[:12]}"
    restored = f"{name}_restored"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            with psycopg.connect(f"{SERVER}/{name}", autocommit=True) as database:
                for service in ("current", "savings"):
                    database.execute(f"CREATE SCHEMA {service}")
            yield f"{SERVER}/{name}", f"{SERVER}/{restored}"
        finally:
            for each in (name, restored):
                server.execute(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)")


def commands(section: str) -> list[str]:
    """The commands of a section of the page, one a block."""
    text = PAGE.read_text().partition(f"### {section}\n")[2].partition("\n#")[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@pytest.mark.timeout(300)
async def test_a_dump_under_load_adds_up_where_it_is_restored(
    databases: tuple[str, str], tmp_path: Path, ended: list[Command], monkeypatch: pytest.MonkeyPatch
):
    shop, restored = databases
    dump, restore = commands("On PostgreSQL")
    environment = os.environ | {"SHOP": shop, "RESTORED": restored}

    def sh(text: str) -> None:
        # The name of the page's database is another one here.
        script = text.replace("shop_restored'", f"{restored.rpartition('/')[2]}'")
        done = subprocess.run(
            ["bash", "-ec", script], cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr

    monkeypatch.setenv("MERISTEM_SECRET", token_hex(32))
    bank = made(tmp_path / "bank", f"{shop}?schema={{service}}")
    run, address = await started(bank, ended, "split.toml")
    async with run.read(), transferring(address) as acknowledged:
        while len(acknowledged) < 20:
            await asyncio.sleep(0.05)
        known = set(acknowledged)
        await asyncio.to_thread(sh, dump)
    await killed(bank, run)

    sh(restore)
    kept = Schemas(restored)
    assert check_cut(kept), "nothing was under way"
    before, _ = entries(kept)
    assert known <= before.keys(), "what was acknowledged before is missing"
    await started(made(tmp_path / "elsewhere", f"{restored}?schema={{service}}"), ended, "together.toml")
    sent, received = await settled(kept)
    assert sent == received == before
