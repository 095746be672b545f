"""The database of transactions is moved, to another file or another system: nothing else changes, nobody notices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from served import PATIENCE
from shops import HERE, Customer, Shop

from tests.suites.postgresql import schema_of_its_own

BOOKS = (10, 3, 1)
MOVED = """
[processes]
all = ["*"]

[resources.databases]
transactions = "sqlite:///books/sold.db"
"""


def test_the_record_of_sales_moves_alone(tmp_path: Path):
    def move(old: Shop) -> str:
        (tmp_path / "books").mkdir()
        shutil.move(old.database("transactions"), tmp_path / "books" / "sold.db")
        return MOVED

    check_moved(tmp_path, move=move)


@pytest.fixture
async def schema() -> AsyncIterator[str]:
    async with schema_of_its_own() as url:
        yield url


def test_the_record_of_sales_moves_alone_to_a_server(tmp_path: Path, schema: str):
    def copy(old: Shop) -> str:
        command = [sys.executable, "-m", "meristem", "data", "copy", "--service", "transactions", "--to", schema]
        copied = subprocess.run(
            [*command, "--system", old.system],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert copied.returncode == 0, copied.stderr
        assert "transactions: " in copied.stdout
        old.database("transactions").unlink()  # nobody shall find it there
        return MOVED.replace("sqlite:///books/sold.db", schema)

    check_moved(tmp_path, move=copy)


def check_moved(folder: Path, move: Callable[[Shop], str]) -> None:
    """A customer finds before and after what was sold; `move` gives the placement that says where it is now."""
    with_ada = Shop(folder)
    try:
        ada = with_ada.started().new_customer()
        assert ada.check_out(ada.wish(*BOOKS), "before").status_code == 201
        before = ada.orders()
        files = {each.name for each in with_ada.database("transactions").parent.glob("*.db")}
    finally:
        with_ada.stop()

    placement = folder / "moved.toml"
    placement.write_text(move(with_ada))
    moved = Shop(folder, placement=placement)
    try:
        again = Customer.signed_in(moved.started(), ada.email)
        assert again.orders() == before
        assert again.read("promotion") is False
        second = again.check_out(again.wish(10), "after")
        assert second.status_code == 201, second.text
        assert [each["order_id"] for each in again.orders()] == [second.json()["order_id"], before[0]["order_id"]]
        left = {each.name for each in with_ada.database("transactions").parent.glob("*.db")}
        assert left == files - {"transactions.db"}
    finally:
        moved.stop()
