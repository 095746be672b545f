"""A room of three releases: boxes, boxes with a weight (expanded), boxes whose labels moved away (contracted)."""

import sqlite3
from pathlib import Path

from sqlalchemy import Column, Index, Integer, MetaData, Table, Text, func, insert, select, text
from sqlalchemy.schema import CreateIndex, CreateTable

from meristem.storage.versions import AddColumn, DropColumn, Revision, Schema


def _boxes(*columns: Column[object]) -> Table:
    return Table("meristem_box", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text), *columns)


def _label() -> Column[object]:
    return Column("label", Text)


def _weight() -> Column[object]:
    return Column("weight", Integer, nullable=False, server_default="0")


_first = _boxes(_label())
_second = _boxes(_label(), _weight())
_newest = _boxes(_weight())
_labels = Table("meristem_label", _newest.metadata, Column("id", Integer, primary_key=True), Column("text", Text))
_index = Index("meristem_label_text", _labels.c.text)

_TABLES = Revision("001_tables", compatible=True)
_WEIGHT = Revision("002_weight", compatible=True, steps=[AddColumn(_second.c.weight)])
_LABELS = Revision(
    "003_labels",
    compatible=False,
    steps=[
        CreateTable(_labels),
        CreateIndex(_index),
        insert(_labels).from_select(["id", "text"], select(_second.c.id, func.upper(_second.c.label))),
        DropColumn(_second.c.label),
    ],
)
BROKEN = Revision("003_broken", compatible=True, steps=[CreateTable(_labels), text("SELECT * FROM nowhere")])

FIRST = Schema("boxes", _first.metadata, "meristem_box", [_TABLES])
SECOND = Schema("boxes", _second.metadata, "meristem_box", [_TABLES, _WEIGHT])
NEWEST = NEXT = Schema("boxes", _newest.metadata, "meristem_box", [_TABLES, _WEIGHT, _LABELS])


def with_revisions(schema: Schema, *revisions: Revision) -> Schema:
    return schema._replace(revisions=[*schema.revisions, *revisions])


def created(file: Path, *names: str) -> None:
    """A database as it was before there were records."""
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE meristem_box (id INTEGER NOT NULL, name TEXT, label TEXT, PRIMARY KEY (id))")
        connection.executemany("INSERT INTO meristem_box (name, label) VALUES (?, ?)", [(each, each) for each in names])
    connection.close()


def shape(file: Path) -> dict[str, object]:
    """Every table's columns, every index, and the revisions that are recorded."""
    with sqlite3.connect(file) as connection:
        found: dict[str, object] = {
            name: sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})"))
            for (name,) in connection.execute("SELECT name FROM sqlite_master")
        }
        if "meristem_revision" in found:
            found[""] = connection.execute("SELECT room, name, compatible FROM meristem_revision").fetchall()
    connection.close()
    return found
