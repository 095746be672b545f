"""A release that changes the schema takes another one's place under load, and gives it back, and no request fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.suites.postgresql import schema_of_its_own
from tests.suites.sampled import sampled

from .conftest import PATIENCE, Command, meristem, output, told

SHOP = """
from typing import Protocol
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, func, insert, select
from meristem import Contract, Database, Service, System, operation, safe

metadata = MetaData()
ITEMS = Table("items", metadata, Column("id", Integer, primary_key=True), {columns})
COUNT = select(func.count()).select_from(ITEMS)
KNOWN = select(func.count()).select_from(ITEMS).where(ITEMS.c.{read} == bindparam("which"))

class Items(Contract, Protocol, package="shop.items.v1"):
    @operation(http="POST /items/{{name}}", timeout=60.0)
    async def add(self, name: str) -> str: ...
    @safe(http="GET /items/{{name}}", timeout=60.0)
    async def known(self, name: str) -> int: ...
    @safe(http="GET /count", timeout=60.0)
    async def count(self) -> int: ...

class ItemsService(Items, Service, tables=metadata):
    def __init__(self, database: Database) -> None:
        self.database = database
    async def add(self, name: str) -> str:
        await self.database.execute(insert(ITEMS), {{{values}}})
        return "{release}"
    async def known(self, name: str) -> int:
        return await self.database.fetch_value(KNOWN, {{"which": name}})
    async def count(self) -> int:
        return await self.database.fetch_value(COUNT)

system = System("shop", services=[ItemsService])
"""
RELEASES = {
    "first": ('Column("name", String(20), nullable=False)', "name", '"name": name'),
    "expanded": ('Column("name", String(20)), Column("title", String(20))', "name", '"name": name, "title": name'),
    "contracted": ('Column("title", String(20))', "title", '"title": name'),
}
REVISIONS = {
    "first": """
import sqlalchemy as sa
from alembic import op
revision, down_revision, compatible = "first", None, True
def upgrade():
    name = sa.Column("name", sa.String(20), nullable=False)
    op.create_table("items", sa.Column("id", sa.Integer, primary_key=True), name)
""",
    "expanded": """
import sqlalchemy as sa
from alembic import op
revision, down_revision, compatible = "expanded", "first", True
def upgrade():
    with op.batch_alter_table("items") as items:
        items.add_column(sa.Column("title", sa.String(20)))
        items.alter_column("name", existing_type=sa.String(20), nullable=True)
    op.execute("UPDATE items SET title = name")
""",
    "contracted": """
from alembic import op
revision, down_revision, compatible = "contracted", "expanded", False
def upgrade():
    op.drop_column("items", "name")
""",
}
PLACEMENT = """
[processes]
edge = []
items = {{ services = ["items"], replicas = 2 }}

[resources]
database = "{}"
"""


def release(folder: Path, name: str) -> None:
    """Put a release in the place of another one: its code, and the revisions that it knows."""
    columns, read, values = RELEASES[name]
    (folder / "shop.py").write_text(SHOP.format(columns=columns, read=read, values=values, release=name))
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    known = list(REVISIONS)[: list(REVISIONS).index(name) + 1]
    for revision, text in REVISIONS.items():
        if revision in known:
            (versions / f"{revision}.py").write_text(text)
        else:
            (versions / f"{revision}.py").unlink(missing_ok=True)


class Load:
    """Visitors that add items and look for them, with the pause that leaves the machine to what is started anew."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.added: Counter[str] = Counter()
        self.missed: list[str] = []
        self._answered = asyncio.Condition()

    @asynccontextmanager
    async def on(self, address: str, visitors: int = 2) -> AsyncIterator[None]:
        enough = asyncio.Event()
        tasks = [asyncio.create_task(self._visit(address, f"v{number}", enough)) for number in range(visitors)]
        try:
            yield
        finally:
            enough.set()
            await asyncio.gather(*tasks)

    async def _visit(self, address: str, visitor: str, enough: asyncio.Event) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
            number = 0
            while not enough.is_set():
                number += 1
                added = await web.post(f"/api/items/{visitor}-{number}")
                found = await web.get(f"/api/items/{visitor}-{number}")
                self.statuses.update([added.status_code, found.status_code])
                if added.status_code == 200:
                    self.added[added.json()] += 1
                if found.text != "1":
                    self.missed.append(f"{visitor}-{number} after {added.text}: {found.text}")
                async with self._answered:
                    self._answered.notify_all()
                await asyncio.sleep(0.04)

    async def goes_on(self, by: str) -> None:
        """Wait until a release has answered a good many times."""
        until = self.added[by] + 10
        async with asyncio.timeout(PATIENCE), self._answered:
            await self._answered.wait_for(lambda: self.added[by] >= until)


@asynccontextmanager
async def a_database(kind: str, folder: Path) -> AsyncIterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/{{service}}.db"
        return
    async with schema_of_its_own() as url:
        yield url


@pytest.mark.parametrize("kind", sampled(["sqlite", "postgresql"], 1, "rolling schema"))
async def test_a_release_with_a_schema_change_rolls_under_load_and_back(tmp_path: Path, kind: str):
    async with a_database(kind, tmp_path) as url:
        await roll(tmp_path, url)


async def roll(tmp_path: Path, url: str) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.meristem]\nsystem = "shop:system"\n')
    (tmp_path / "split.toml").write_text(PLACEMENT.format(url))
    release(tmp_path, "first")
    run = await meristem(
        tmp_path, "run", "--placement", "split.toml", "--port", "0", "--no-development", PYTHONDONTWRITEBYTECODE="1"
    )
    try:
        await roll_under_load(tmp_path, run)
    finally:
        run.process.terminate()
        await output(run.process)


async def roll_under_load(tmp_path: Path, run: Command) -> None:
    address = next(word for word in (await run.shows("shop runs at")).split() if word.startswith("http://"))
    load = Load()

    async with run.read(), load.on(address):
        await load.goes_on("first")
        for following in ("expanded", "first"):
            release(tmp_path, following)
            code, said = await told(tmp_path, "reload", "--wait")
            assert code == 0, said
            await load.goes_on(following)

        # The first release writes names, so that what takes them away is refused, and it runs on.
        release(tmp_path, "contracted")
        code, said = await told(tmp_path, "reload", "--wait")
        assert code == 1, said
        assert "revision contracted is not survived by a release that runs" in said
        await load.goes_on("first")

    assert load.missed == []
    assert set(load.statuses) == {200}, run.text
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
        assert (await web.get("/api/count")).json() == load.added.total()
