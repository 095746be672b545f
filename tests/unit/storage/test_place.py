"""One place is told alike, however its URL is written, and two places are not."""

from pathlib import Path

import pytest

from meristem.storage.place import place_of

HERE = "postgresql://a:b@db.example:5432/shop?schema=orders"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sqlite:///a.db", "sqlite:///./a.db"),
        ("sqlite:///a.db", "sqlite:///x/../a.db?synchronous=normal"),
        ("sqlite:///a.db", "sqlite:///link.db"),
        (HERE, "postgres://c:d@DB.example/shop?schema=orders&pool=4"),
        (HERE, "postgresql://c@/shop?schema=orders&host=db.example"),
        ("postgresql://a@localhost/shop?schema=s", "postgresql://a@127.0.0.1:5432/shop?schema=s"),
        ("postgresql://a@one,two/shop?schema=s", "postgresql://a@two:5432,one/shop?schema=s"),
        ("postgresql://a@[::1]/shop", "postgresql://a:pw@[::1]:5432/shop"),
    ],
)
def test_two_ways_to_write_one_place(tmp_path: Path, one: str, other: str):
    (tmp_path / "x").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    assert place_of(one, tmp_path) == place_of(other, tmp_path)
    assert place_of(f"sqlite:///{tmp_path}/a.db", tmp_path) == place_of("sqlite:///a.db", tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        HERE.replace("orders", "stock"),
        HERE.replace("/shop", "/other"),
        HERE.replace("5432", "5433"),
        HERE.replace("db.", "db2."),
        "postgresql://a:b@db.example/shop",
        "postgresql://orders@db.example/shop",
        "sqlite:///a.db",
        "acme://db.example/shop",
    ],
)
def test_two_places(tmp_path: Path, other: str):
    assert place_of(other, tmp_path) not in (None, place_of(HERE, tmp_path))


def test_a_temporary_database_is_nobody_elses(tmp_path: Path):
    assert place_of("sqlite://", tmp_path) is place_of("sqlite:///:memory:", tmp_path) is None
