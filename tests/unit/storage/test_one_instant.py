"""Several databases are fixed at one moment: no effect is in a copy without its cause, and nobody waits for long."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from meristem.errors import StorageUnavailable
from meristem.storage.database_file import Cut
from meristem.storage.one_instant import HOLD, fix_all
from meristem.storage.sqlite.file_copy import SqliteCut, SqliteFile

NAMES = ("causes", "effects")
PATIENCE = 60.0  # seconds for what takes one on an idle machine


def connect(folder: Path, name: str, timeout: float = PATIENCE) -> sqlite3.Connection:
    return sqlite3.connect(folder / f"{name}.db", timeout=timeout, isolation_level=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        with closing(connect(tmp_path, name)) as made:
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    return tmp_path


@contextmanager
def cuts(folder: Path) -> Iterator[dict[str, SqliteCut]]:
    opened = {name: SqliteFile(folder / f"{name}.db", name).cut() for name in NAMES}
    try:
        yield opened
    finally:
        for each in opened.values():
            each.close()


def numbers(folder: Path, opened: dict[str, SqliteCut], name: str, copy: str) -> int:
    opened[name].copy(folder / f"{copy}.db", lambda *_: None)
    return SqliteFile(folder / f"{name}.db", name).contents(folder / f"{copy}.db").rows["numbers"]


def write_on(folder: Path, over: threading.Event) -> None:
    """First the cause, then the effect, as fast as it goes."""
    with closing(connect(folder, "causes")) as causes, closing(connect(folder, "effects")) as effects:
        while not over.is_set():
            causes.execute("INSERT INTO numbers DEFAULT VALUES")
            effects.execute("INSERT INTO numbers DEFAULT VALUES")


def test_no_effect_is_there_without_its_cause_while_all_are_written_to(folder: Path):
    over = threading.Event()
    writer = threading.Thread(target=write_on, args=(folder, over))
    writer.start()
    try:
        found: list[tuple[int, ...]] = []
        until = time.monotonic() + PATIENCE
        # Enough of them that differ: on a busy machine the writer may not get on between two.
        while len(set(found)) < 10 and time.monotonic() < until:
            with cuts(folder) as opened:
                fix_all(opened, PATIENCE)
                found.append(tuple(numbers(folder, opened, name, f"{name}-{len(found)}") for name in NAMES))
    finally:
        over.set()
        writer.join()
    assert all(causes - effects in {0, 1} for causes, effects in found), found
    assert len(set(found)) >= 10, "nothing was written meanwhile"


class Watched:
    """A cut that tells when it is fixed."""

    def __init__(self, cut: Cut, then: Callable[[], None]) -> None:
        self._cut, self._then = cut, then
        self.hold, self.release = cut.hold, cut.release

    def fix(self) -> None:
        self._cut.fix()
        self._then()


def test_nobody_writes_to_any_of_them_between_the_first_that_is_fixed_and_the_last(folder: Path):
    refused = []

    def write() -> None:
        for name in NAMES:
            with closing(connect(folder, name, timeout=0)) as writer:
                try:
                    writer.execute("INSERT INTO numbers DEFAULT VALUES")
                except sqlite3.OperationalError as error:
                    refused.append((name, error.sqlite_errorname))

    with cuts(folder) as opened:
        fix_all({name: Watched(cut, write) for name, cut in opened.items()})
        assert refused == [(name, "SQLITE_BUSY") for name in NAMES] * 2
        refused.clear()
        write()
        assert not refused, "writers go on once all are fixed"
        assert [numbers(folder, opened, name, f"copy-{name}") for name in NAMES] == [0, 0]


class Noted:
    """A cut that notes what is asked of it; it can't be held the first time when it is `busy`."""

    def __init__(self, name: str, notes: list[str], *, busy: bool = False) -> None:
        self._name, self._notes, self._busy = name, notes, busy

    def hold(self, patience: float) -> bool:
        self._notes.append(f"hold {self._name} {'briefly' if patience <= HOLD else 'patiently'}")
        held, self._busy = not self._busy, False
        return held

    def fix(self) -> None:
        self._notes.append(f"fix {self._name}")

    def release(self) -> None:
        self._notes.append(f"release {self._name}")


def test_a_long_transaction_in_one_holds_up_no_other():
    """It is waited for while nothing is held, and for the others only briefly."""
    notes: list[str] = []

    fix_all({"a": Noted("a", notes), "b": Noted("b", notes, busy=True), "c": Noted("c", notes)}, PATIENCE)

    assert notes == [
        "hold a patiently", "hold b briefly", "release a",
        "hold b patiently", "hold a briefly", "hold c briefly",
        "fix a", "fix b", "fix c",
        "release b", "release a", "release c",
    ]  # fmt: skip


def test_one_that_is_written_to_without_a_pause_is_named_and_all_are_free_again(folder: Path):
    with cuts(folder) as opened, closing(connect(folder, "effects")) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="'effects' was written to for 0.4 s without a pause"):
            fix_all(opened, 0.4)
        busy.execute("ROLLBACK")
        for name in NAMES:
            with closing(connect(folder, name, timeout=0)) as writer:
                writer.execute("INSERT INTO numbers DEFAULT VALUES")
