"""What each running release says of its tables, kept in the database: a migration can so tell what that one uses.

The release that migrates knows its own `tables=` alone, and the one that runs has never heard of the revision.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, delete, insert, or_, select

from meristem.storage.database import Database
from meristem.storage.lease_tables import LIVING, MEMBERS
from meristem.storage.owner import is_certainly_dead
from meristem.storage.survival import DeclaredTables
from meristem.storage.versions import Revision, Schema

METADATA: Final = MetaData()
_DECLARED: Final = Table(
    "meristem_declared",
    METADATA,
    Column("member", BigInteger, primary_key=True, autoincrement=False),
    Column("tables", Text, nullable=False),
)
SCHEMA: Final = Schema("declared", METADATA, _DECLARED.name, [Revision("001_tables", compatible=True)])

_FORGET: Final = delete(_DECLARED).where(
    or_(_DECLARED.c.member == bindparam("me", type_=BigInteger), _DECLARED.c.member.not_in(LIVING))
)
_KEEP: Final = insert(_DECLARED)
_KEPT: Final = select(_DECLARED.c.member, _DECLARED.c.tables)
_MEMBERS: Final = select(MEMBERS.c.id, MEMBERS.c.process)


class _Kept(msgspec.Struct):
    member: int
    tables: str


class _Living(msgspec.Struct):
    id: int
    process: str


def declared_by(tables: MetaData) -> DeclaredTables:
    """What a release declares by its `tables=`."""
    return DeclaredTables(
        {each.name: {column.name: bool(column.nullable) for column in each.columns} for each in tables.tables.values()}
    )


async def declare(database: Database, member: int, tables: MetaData | None) -> None:
    """Say what the replica of this number uses; it says nothing without tables, and is taken to use all."""
    async with database.begin() as tx:
        tx.defer(_FORGET, {"me": member})
        if tables is not None:
            text = msgspec.json.encode(declared_by(tables)).decode()
            tx.defer(_KEEP, {"member": member, "tables": text})


async def running_releases(database: Database) -> list[DeclaredTables]:
    """What those declare that run; the last that ran, where none does; [] where one is among them that said nothing."""
    if _DECLARED.name not in await database.tables():
        return []
    kept = {each.member: each.tables for each in await database.fetch_all(_KEPT, into=_Kept)}
    members = await database.fetch_all(_MEMBERS, into=_Living)
    living = [each.id for each in members if not is_certainly_dead(each.process)] or list(kept)
    if not all(each in kept for each in living):
        return []
    return [msgspec.json.decode(text, type=DeclaredTables) for text in {kept[each] for each in living}]
