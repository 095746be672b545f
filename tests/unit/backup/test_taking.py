"""A backup holds all databases as they were at one moment, and is there only if it is whole."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meristem.errors import ConfigurationError, StorageError, StorageUnavailable
from meristem.storage.sqlite.file_copy import SqliteFile
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import Resources

from .conftest import NAMES, SYSTEM, Orders, Shop, files, of_thread


async def test_what_was_kept_while_it_ran_is_there_elsewhere(shop: Shop, other: Shop, tmp_path: Path):
    async with shop.running() as app:
        await Orders.client().order("a lamp")
        await app.settled()
        manifest = await of_thread(shop.take, tmp_path / "backup")
        await Orders.client().order("a chair")

    restored = await of_thread(other.restore, tmp_path / "backup")

    assert set(manifest.databases) == set(NAMES)
    assert manifest.databases["orders"].rows["orders"] == 1
    assert "events 003_dead_letters" in manifest.databases["orders"].revisions
    assert (manifest.left_out, manifest.beside) == ({}, [])
    assert (restored.set_aside, restored.notes) == ([], [])
    assert [await other.texts(each) for each in NAMES] == [["a lamp"], ["a lamp"]]
    assert [await shop.texts(each) for each in NAMES] == [["a lamp", "a chair"]] * 2


async def test_what_is_called_again_with_its_key_is_known_elsewhere(shop: Shop, other: Shop, tmp_path: Path):
    """The digests of requests are made by the system's secret, so that is in the backup too."""
    await shop.filled()
    await of_thread(shop.take, tmp_path / "backup")

    await of_thread(other.restore, tmp_path / "backup")

    assert other.state.secret_file.read_bytes() == shop.state.secret_file.read_bytes()


async def test_a_secret_of_the_environment_stays_there_and_is_missed(shop: Shop, other: Shop, tmp_path: Path):
    shop.environment["MERISTEM_SECRET"] = "a" * 20 + "0123456789bcdefghijklmnop"
    await shop.filled()
    manifest = await of_thread(shop.take, tmp_path / "backup")

    with pytest.raises(ConfigurationError, match="the secret of this system is not the backup's: set MERISTEM_SECRET"):
        await of_thread(other.restore, tmp_path / "backup")
    other.environment["MERISTEM_SECRET"] = "b" * 20 + "0123456789bcdefghijklmnop"
    with pytest.raises(ConfigurationError, match="the secret of this system is not the backup's: set MERISTEM_SECRET"):
        await of_thread(other.restore, tmp_path / "backup")

    assert not other.file("orders").exists()
    assert not manifest.has_secret
    assert not any(
        shop.environment["MERISTEM_SECRET"] in each.read_text("latin1") for each in files(tmp_path / "backup")
    )
    assert (await of_thread(other.restore, tmp_path / "backup", other_secret=True)).set_aside == []
    assert (await of_thread(shop.restore, tmp_path / "backup", replace=True)).notes == []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_nobody_else_may_read_a_backup_or_what_is_restored(backup: Path, other: Shop):
    before = os.umask(0)
    try:
        await of_thread(other.restore, backup)
    finally:
        os.umask(before)

    assert {mode(each) for each in [*files(backup), *files(other.folder)]} == {0o600}
    assert {mode(each) for each in (backup, other.state.path)} == {0o700}


async def test_a_backup_is_whole_or_not_there(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    await shop.filled("a lamp")

    def damaged(*_: Any) -> None:
        raise StorageError("damaged")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteFile, "contents", damaged)
        with pytest.raises(StorageError, match="damaged"):
            await of_thread(shop.take, tmp_path / "backups" / "today")
    assert files(tmp_path / "backups") == []
    await of_thread(shop.take, tmp_path / "backups" / "today")
    with pytest.raises(ConfigurationError, match="is there already: name a new folder"):
        await of_thread(shop.take, tmp_path / "backups" / "today")


async def test_a_damaged_database_is_told_before_anybody_needs_its_backup(shop: Shop, tmp_path: Path):
    await shop.filled("a lamp")
    with shop.file("ledger").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)

    with pytest.raises(StorageError, match="damaged|malformed"):
        await of_thread(shop.take, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


async def test_one_that_is_written_to_all_the_time_may_be_tried_again(shop: Shop, tmp_path: Path):
    await shop.filled("a lamp")
    with closing(sqlite3.connect(shop.file("ledger"), isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="'ledger' was written to for 0.1 s"):
            await of_thread(shop.take, tmp_path / "backup", patience=0.1)
    assert not (tmp_path / "backup").exists()


async def test_a_service_is_left_out_if_it_is_asked_for(shop: Shop, other: Shop, tmp_path: Path):
    await shop.filled("a lamp")
    elsewhere = Blueprint(SYSTEM, Placement(resources=Resources(databases={"ledger": "sqlite://"})))

    manifest = await of_thread(shop.take, tmp_path / "backup", without=["ledger"])
    temporary = await of_thread(shop.take, tmp_path / "temporary", elsewhere)

    assert set(manifest.databases) == set(temporary.databases) == {"orders"}
    assert manifest.left_out == {"ledger": "it was left out as asked"}
    assert temporary.left_out == {"ledger": "its database is a temporary one"}
    restored = await of_thread(other.restore, tmp_path / "backup")
    assert restored.notes == ["ledger was not restored: it was left out as asked"]
    with pytest.raises(ConfigurationError, match="no service 'music' has a database; there are orders, ledger"):
        await of_thread(shop.take, tmp_path / "another", without=["music"])


async def test_what_a_server_keeps_is_left_to_its_tools(shop: Shop, tmp_path: Path):
    await shop.filled("a lamp")
    server = "postgresql://ledger@127.0.0.1/ledger"  # nobody is asked
    elsewhere = Blueprint(SYSTEM, Placement(resources=Resources(databases={"ledger": server})))

    with pytest.raises(ConfigurationError, match="'ledger' is kept by a postgresql server: back it up with the tools"):
        await of_thread(shop.take, tmp_path / "backup", elsewhere)
    manifest = await of_thread(shop.take, tmp_path / "backup", elsewhere, without=["ledger"])

    assert set(manifest.databases) == {"orders"}
    await of_thread(shop.take, tmp_path / "whole")
    with pytest.raises(ConfigurationError, match="a file of 'ledger', whose database is none by this placement"):
        await of_thread(shop.restore, tmp_path / "whole", elsewhere, replace=True)


async def test_other_files_of_the_system_are_named(shop: Shop, tmp_path: Path):
    await shop.filled()
    (shop.state.path / "letters").mkdir()

    manifest = await of_thread(shop.take, tmp_path / "backup")

    assert manifest.beside == ["letters"]


async def test_nothing_that_was_never_started_is_backed_up(shop: Shop, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="nothing to back up: orders: it has no database here yet"):
        await of_thread(shop.take, tmp_path / "backup")
