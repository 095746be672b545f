"""A backup is refused where it is not whole or does not fit, and takes its place whole or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meristem.backup import restoring
from meristem.errors import ConfigurationError, MeristemError, OperationError, StorageError
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import Resources
from meristem.system.state_directory import API_KEYS

from .conftest import SYSTEM, Shop, files, of_thread


async def test_a_running_system_is_not_restored_over(backup: Path, shop: Shop):
    shop.state.claim()
    try:
        with pytest.raises(OperationError, match="already runs from"):
            await of_thread(Shop(shop.folder).restore, backup, replace=True)
    finally:
        shop.state.release()


async def test_a_database_that_another_program_has_open_is_not_restored_over(backup: Path, shop: Shop):
    with closing(sqlite3.connect(shop.file("ledger"))) as open_elsewhere:
        open_elsewhere.execute("SELECT * FROM ledger").fetchall()
        with pytest.raises(OperationError, match=r"ledger\.db is open in another program"):
            await of_thread(shop.restore, backup, replace=True)
    assert await shop.texts("ledger") == ["a lamp", "a chair"]


async def test_data_that_is_there_is_kept_aside_if_it_is_to_be_replaced(backup: Path, shop: Shop):
    await shop.filled("a table")
    with pytest.raises(ConfigurationError, match=r"data already: .*orders\.db, .*ledger\.db; --replace"):
        await of_thread(shop.restore, backup)

    restored = await of_thread(shop.restore, backup, replace=True)

    assert await shop.texts("ledger") == ["a lamp", "a chair"]
    aside = next(each for each in restored.set_aside if "ledger" in each)
    with closing(sqlite3.connect(aside)) as former:
        assert former.execute("SELECT text FROM ledger ORDER BY id").fetchall()[-1] == ("a table",)


def leave_in_log(file: Path) -> None:
    """As a process does that is killed: the last one that closes in peace takes the log into the file."""
    with closing(sqlite3.connect(file, isolation_level=None)) as killed:
        killed.execute("INSERT INTO ledger (text) VALUES ('in the log')")
        left = {each: each.read_bytes() for each in (file, Path(f"{file}-wal"))}
    for path, content in left.items():
        path.write_bytes(content)


async def test_what_a_killed_process_left_in_its_log_is_set_aside_with_the_file(backup: Path, shop: Shop):
    leave_in_log(shop.file("ledger"))

    restored = await of_thread(shop.restore, backup, replace=True)

    aside = next(each for each in restored.set_aside if "ledger" in each)
    with closing(sqlite3.connect(aside)) as former:
        assert former.execute("SELECT text FROM ledger ORDER BY id").fetchall()[-1] == ("in the log",)
    assert await shop.texts("ledger") == ["a lamp", "a chair"]


async def test_what_was_not_there_yet_is_not_there_afterwards(shop: Shop, tmp_path: Path):
    """A service that began to keep something after the backup would know of what never happened."""
    await shop.filled("a lamp")
    shop.file("ledger").unlink()
    await of_thread(shop.take, tmp_path / "backup")
    await shop.filled("a chair")

    restored = await of_thread(shop.restore, tmp_path / "backup", replace=True)

    assert sorted(Path(each).name.partition(".before")[0] for each in restored.set_aside) == ["ledger.db", "orders.db"]
    assert not shop.file("ledger").exists()
    assert restored.notes == ["ledger was not restored: it has no database here yet"]


@pytest.mark.parametrize(
    ("bus", "told"),
    [
        ("nats://127.0.0.1", "they hear what came since"),
        ("kafka+ssl://127.0.0.1:9092", "`meristem events replay --subscriber NAME --since TIME` brings it"),
        ("amqps://127.0.0.1", "for services that had not taken it in is gone where it was taken in since"),
    ],
)
async def test_what_a_broker_had_at_that_moment_is_told_to_be_in_no_backup(
    bus: str, told: str, shop: Shop, tmp_path: Path
):
    await shop.filled("a lamp")
    placed = Blueprint(SYSTEM, Placement(resources=Resources(bus=bus)))

    manifest = await of_thread(shop.take, tmp_path / "backup", placed)
    restored = await of_thread(shop.restore, tmp_path / "backup", replace=True)

    assert manifest.bus == bus.partition(":")[0]
    [note] = restored.notes
    assert told in note


async def test_a_restore_that_was_interrupted_lets_nothing_run_until_it_is_repeated(
    backup: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "to_disk", full)
        with pytest.raises(OperationError, match="stopped half-way: No space left on device"):
            await of_thread(shop.restore, backup, replace=True)
    with pytest.raises(OperationError, match=f"was interrupted: repeat it first, by `meristem restore {backup} --repl"):
        shop.state.claim()

    await of_thread(shop.restore, backup, replace=True)

    shop.state.claim()
    shop.state.release()
    assert await shop.texts("orders") == ["a lamp", "a chair"]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


BROKEN = {
    "a changed copy": (lambda backup: flip(backup / "ledger.db"), r"ledger\.db is damaged: its checksum is another"),
    "a missing copy": (lambda backup: (backup / "ledger.db").unlink(), r"ledger\.db is damaged: it is missing"),
    "no manifest": (lambda backup: (backup / "manifest.json").unlink(), "is no backup: manifest.json: No such file"),
    "half a manifest": (lambda backup: cut(backup / "manifest.json"), "is no backup: manifest.json: "),
    "another system": (lambda backup: edit(backup, '"shop"', '"inn"'), "is a backup of 'inn', and this is 'shop'"),
    "a service that is gone": (
        lambda backup: edit(backup, '"ledger": {', '"books": {'),
        "the backup holds books, of which this release of shop keeps nothing",
    ),
    "a newer format": (lambda backup: edit(backup, '"format": 1', '"format": 2'), "has format 2, this release reads 1"),
}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def edit(backup: Path, old: str, new: str) -> None:
    text = (backup / "manifest.json").read_text()
    assert old in text
    (backup / "manifest.json").write_text(text.replace(old, new))


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_is_not_whole_is_told_and_changes_nothing(broken: str, backup: Path, shop: Shop):
    spoil, told = BROKEN[broken]
    assert await of_thread(shop.verify, backup) == {"orders": [], "ledger": []}
    before = {each: each.read_bytes() for each in files(shop.folder)}
    spoil(backup)

    with pytest.raises(MeristemError, match=told):
        await of_thread(shop.verify, backup)
    with pytest.raises(MeristemError, match=told):
        await of_thread(shop.restore, backup, replace=True)

    assert {each: each.read_bytes() for each in files(shop.folder) if each.suffix == ".db"} == {
        path: content for path, content in before.items() if path.suffix == ".db"
    }


@pytest.mark.parametrize("found", ["is missing", "is another one than when it was made"])
async def test_a_backup_without_its_secret_is_not_whole_and_restored_only_where_that_is_lost(
    found: str, backup: Path, shop: Shop, other: Shop
):
    secret = backup / "secret"
    secret.unlink()
    if "another" in found:
        secret.write_bytes(bytes(32))

    with pytest.raises(StorageError, match=f"secret is damaged: it {found}"):
        await of_thread(shop.verify, backup)
    with pytest.raises(ConfigurationError, match=rf"it {found}.* set MERISTEM_SECRET as it was, or say --other-secret"):
        await of_thread(other.restore, backup)
    assert not other.file("ledger").exists()

    await of_thread(other.restore, backup, other_secret=True)

    assert await other.texts("ledger") == ["a lamp", "a chair"]
    assert not other.state.secret_file.exists() or other.state.secret_file.read_bytes() != bytes(32)
    await of_thread(shop.restore, backup, replace=True)  # which has the secret itself


async def test_a_backup_of_a_newer_release_is_refused_before_it_takes_any_place(shop: Shop, tmp_path: Path):
    await shop.filled("a lamp")
    for compatible in (1, 0):
        with closing(sqlite3.connect(shop.file("ledger"))) as newer, newer:
            row = f"('events', '{900 - compatible}_newer', {compatible}, '2030-01-01 00:00:00.000000')"
            newer.execute(f"INSERT INTO meristem_revision VALUES {row}")
        await of_thread(shop.take, tmp_path / f"compatible-{compatible}")

    assert await of_thread(shop.verify, tmp_path / "compatible-1") == {"orders": [], "ledger": []}
    with pytest.raises(ConfigurationError, match=r"migrated by a newer release \(events 900_newer\)"):
        await of_thread(shop.verify, tmp_path / "compatible-0")


async def test_a_backup_of_an_older_release_tells_what_the_next_start_applies(shop: Shop, tmp_path: Path):
    await shop.filled("a lamp")
    with closing(sqlite3.connect(shop.file("ledger"))) as older, older:
        older.execute("DELETE FROM meristem_revision WHERE room = 'sagas' AND name = '004_indexes'")
    await of_thread(shop.take, tmp_path / "backup")

    assert await of_thread(shop.verify, tmp_path / "backup") == {"orders": [], "ledger": ["sagas 004_indexes"]}


async def test_an_api_key_that_was_revoked_since_does_not_come_back(shop: Shop, tmp_path: Path):
    await shop.filled("a lamp")
    keys = shop.state.path / API_KEYS
    keys.write_text("with a key")
    manifest = await of_thread(shop.take, tmp_path / "copies")
    keys.write_text("without it")
    await of_thread(shop.restore, tmp_path / "copies", replace=True)

    assert keys.read_text() == "without it"
    assert manifest.beside == [API_KEYS]
    assert not list((tmp_path / "copies").glob(f"*{API_KEYS}*"))
