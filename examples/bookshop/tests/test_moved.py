"""The database of transactions is moved to another file: nothing else changes, and nobody notices."""

from __future__ import annotations

import shutil
from pathlib import Path

from shops import Customer, Shop

BOOKS = (10, 3, 1)
MOVED = """
[processes]
all = ["*"]

[resources.databases]
transactions = "sqlite:///books/sold.db"
"""


def test_the_record_of_sales_moves_alone(tmp_path: Path):
    with_ada = Shop(tmp_path)
    try:
        ada = with_ada.started().new_customer()
        assert ada.check_out(ada.wish(*BOOKS), "before").status_code == 201
        before = ada.orders()
        files = {each.name for each in with_ada.database("transactions").parent.glob("*.db")}
    finally:
        with_ada.stop()

    (tmp_path / "books").mkdir()
    shutil.move(with_ada.database("transactions"), tmp_path / "books" / "sold.db")
    placement = tmp_path / "moved.toml"
    placement.write_text(MOVED)
    moved = Shop(tmp_path, placement=placement)
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
