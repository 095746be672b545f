"""A disk that is really full: callers are told so, nothing is half done, and work goes on as soon as there is room."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import psycopg
import pytest

from meristem import CallError, Code
from meristem.backup.copying import take
from meristem.context import using
from meristem.errors import OperationError
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import Resources
from meristem.testing import running
from tests.faults.crash.market import Orders, Sales, Stock, system
from tests.suites.postgresql_servers import servers_of_its_own

if TYPE_CHECKING:
    from meristem.testing.app import RunningSystem

SIZE: Final = 24  # MiB
MOST: Final = 400  # orders until the disk must be in their way


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._filler = place / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    def make_room(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        place = Path(folder)
        options = f"size={SIZE}m,mode=0755"  # for a server's user, too
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False).returncode:
            pytest.skip("no file system can be mounted here")
        try:
            yield SmallDisk(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)


async def ordered(app: RunningSystem, key: str) -> UUID:
    with using(key=key):
        return await app.client(Orders).place(1)


async def check_a_full_disk(app: RunningSystem, disk: SmallDisk) -> None:
    """Orders are refused or wait while the disk is full; all of them are there once it has room."""
    await ordered(app, "before")
    disk.fill()
    asked: dict[str, asyncio.Task[UUID]] = {}
    refused: list[str] = []
    for number in range(MOST):
        key = f"order-{number}"
        asked[key] = asyncio.create_task(ordered(app, key))
        await asyncio.wait([asked[key]], timeout=0.2)  # one that has begun its saga waits for room
        if asked[key].done() and (error := asked[key].exception()) is not None:
            assert isinstance(error, CallError)
            assert error.code is Code.UNAVAILABLE
            assert "failed: the disk of its database is full; the log says more" in error.message
            refused.append(key)
            if len(refused) == 3:
                break
    assert len(refused) == 3
    assert await app.client(Sales).sold() is not None  # what is there can be read

    disk.make_room()
    promised = [await ordered(app, "before")]
    for key, task in asked.items():
        promised.append(await (ordered(app, key) if key in refused else task))

    await app.settled(timeout=30)
    entered = await app.client(Orders).entered()
    assert sorted(entered) == sorted(map(str, promised))
    assert await app.client(Stock).taken() == len(promised)
    assert await app.client(Sales).sold() == {each: [1] for each in entered}


async def test_a_full_disk_loses_nothing_on_sqlite(disk: SmallDisk):
    async with running(system, database=f"sqlite:///{disk.place}/{{service}}.db", where="local") as app:
        await check_a_full_disk(app, disk)


async def test_a_full_disk_loses_nothing_on_postgresql(disk: SmallDisk):
    with servers_of_its_own("full") as (server,):
        await asyncio.to_thread(server.make)
        await asyncio.to_thread(server.control, "start")
        space = disk.place / "space"
        space.mkdir()
        shutil.chown(space, "postgres")
        url = f"postgresql://postgres@127.0.0.1:{server.port}"
        with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
            connection.execute("CREATE DATABASE market TABLESPACE small")
        with psycopg.connect(f"{url}/market", autocommit=True) as connection:
            for name in ("orders", "stock", "sales"):
                connection.execute(f"CREATE SCHEMA {name}")
        async with running(system, database=f"{url}/market?schema={{service}}", where="local") as app:
            await check_a_full_disk(app, disk)


async def test_a_backup_that_finds_no_room_says_that_it_is_its_own_and_leaves_nothing(disk: SmallDisk, tmp_path: Path):
    """Not that of a service's database, which has room and goes on."""
    url = f"sqlite:///{tmp_path}/{{service}}.db"
    async with asyncio.timeout(60), running(system, database=url):
        pass
    place, placed = disk.place / "kept", Blueprint(system, Placement(resources=Resources(database=url)))
    disk.fill()
    os.truncate(disk.place / "filler", (disk.place / "filler").stat().st_size - (64 << 10))

    with pytest.raises(OperationError, match="cannot write the backup .*: No space left on device; make room"):
        await asyncio.to_thread(take, placed, tmp_path, place, environment={}, tell=lambda *_: None)
    left = [each.name for each in disk.place.iterdir()]
    disk.make_room()
    manifest = await asyncio.to_thread(take, placed, tmp_path, place, environment={}, tell=lambda *_: None)

    assert left == ["filler"]
    assert manifest.databases
