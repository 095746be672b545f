"""The tables of the lease, and the conditions by which statements see whether who stamped a row lives."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, exists, or_, select

from meristem.storage.versions import AddColumn, Revision, Schema

METADATA: Final = MetaData()
_id: Final = BigInteger().with_variant(Integer, "sqlite")
MEMBERS: Final = Table(
    "meristem_member",
    METADATA,
    Column("id", _id, primary_key=True, autoincrement=True),
    Column("name", String(200), nullable=False),  # of the replica; it keeps that when it starts again
    Column("process", String(200), nullable=False),
    Column("beat", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # a fence that passed never comes back
)
DUTIES: Final = Table(
    "meristem_duty",
    METADATA,
    Column("name", String(200), primary_key=True),
    Column("member", _id, nullable=False),
    Column("crashes", Integer, nullable=False, server_default="0"),  # ends of a process within it, in a row
)
_DUTIES_AT_SECOND: Final = Table(
    "meristem_duty", MetaData(), Column("crashes", Integer, nullable=False, server_default="0")
)
SCHEMA: Final = Schema(
    "lease",
    METADATA,
    MEMBERS.name,
    [
        Revision("001_tables", compatible=True),
        # An older release counts no ends, and leaves the counts that are there.
        Revision("002_crashes", compatible=True, steps=[AddColumn(_DUTIES_AT_SECOND.c.crashes)]),
    ],
)

LIVING: Final = select(MEMBERS.c.id)
"""The replicas that live: what is stamped with any other number is free."""


def is_free(member: Column[Any]) -> Any:
    """Whether nobody alive holds the rows that are stamped with `member`, as a condition of a statement."""
    return or_(member.is_(None), member.not_in(LIVING))


def lives(member: Any) -> Any:
    """Whether the replica of this number is taken for alive, as a condition: one that is not writes nothing."""
    return exists().where(MEMBERS.c.id == member)
