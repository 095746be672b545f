"""Notes whose readers tolerate a minute, a desk and a clerk that keep and read them, and a page: read from replicas."""

import json
from typing import Protocol

from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, bindparam, insert, select, text

from meristem import (
    App,
    Code,
    Contract,
    Database,
    Event,
    Fault,
    Flow,
    Message,
    Service,
    System,
    idempotent,
    on,
    once,
    operation,
    safe,
    saga,
)

notes, desk = MetaData(), MetaData()
NOTES = Table("notes", notes, Column("note", String(80), primary_key=True))
FIND = text("SELECT inet_server_port() AS port, EXISTS (SELECT 1 FROM notes WHERE note = :which) AS found").bindparams(
    bindparam("which", type_=String)
)
HEARD = Table(
    "heard", desk, Column("note", String(80), primary_key=True), Column("port", Integer), Column("found", Boolean)
)
LOOK = select(HEARD.c.port, HEARD.c.found).where(HEARD.c.note == bindparam("which"))


class Seen(Message):
    """Which server answered, and whether the note was there."""

    port: int
    found: bool


class Full(Fault, code=Code.FAILED_PRECONDITION):
    """It was kept all the same."""


class NoteKept(Event, package="replicated.notes.v1"):
    """A note was kept."""

    note: str


class Notes(Contract, Protocol, package="replicated.notes.v1"):
    @once(http="POST /notes")
    async def keep(self, note: str) -> None: ...

    @operation(http="POST /refused", raises=[Full])
    async def keep_and_refuse(self, note: str) -> None: ...

    @idempotent
    async def put(self, note: str) -> None: ...

    @safe(http="GET /notes/{note}", max_staleness=60.0)
    async def find(self, note: str) -> Seen: ...

    @safe(http="GET /latest/{note}")
    async def find_latest(self, note: str) -> Seen: ...


class Clerk(Contract, Protocol, package="replicated.clerk.v1"):
    @operation
    async def keep(self, note: str) -> None: ...


class Desk(Contract, Protocol, package="replicated.desk.v1"):
    @operation(http="POST /desk")
    async def keep_and_find(self, note: str, *, by_clerk: bool = False, refused: bool = False) -> Seen: ...

    @once(http="POST /sagas")
    async def keep_durably(self, note: str) -> None: ...

    @operation(http="POST /durably")
    async def keep_durably_and_find(self, note: str) -> Seen: ...

    @safe(http="GET /heard/{note}")
    async def heard(self, note: str) -> Seen | None: ...


class NotesService(Notes, Service, tables=notes):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def keep(self, note: str) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES), {"note": note})
            await tx.publish(NoteKept(note=note))

    async def keep_and_refuse(self, note: str) -> None:
        await self.database.execute(insert(NOTES), {"note": note})
        raise Full

    async def put(self, note: str) -> None:
        await self.database.execute(text("INSERT INTO notes VALUES (:note) ON CONFLICT DO NOTHING"), {"note": note})

    async def find(self, note: str) -> Seen:
        found = await self.database.fetch_one(FIND, {"which": note}, into=Seen)
        assert found is not None
        return found

    async def find_latest(self, note: str) -> Seen:
        return await self.find(note)


class ClerkService(Clerk, Service):
    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    async def keep(self, note: str) -> None:
        await self.notes.keep(note)


class DeskService(Desk, Service, tables=desk):
    def __init__(self, notes: Notes, clerk: Clerk, database: Database) -> None:
        self.notes = notes
        self.clerk = clerk
        self.database = database

    async def keep_and_find(self, note: str, *, by_clerk: bool = False, refused: bool = False) -> Seen:
        if refused:
            try:
                await self.notes.keep_and_refuse(note)
            except Full:
                return await self.notes.find(note)
        await (self.clerk if by_clerk else self.notes).keep(note)
        return await self.notes.find(note)

    @saga
    async def keep_durably(self, flow: Flow, note: str) -> None:
        await flow.sleep(0.01)
        await self.notes.put(note)

    async def keep_durably_and_find(self, note: str) -> Seen:
        await Desk.client().keep_durably(note)
        return await self.notes.find(note)

    @on(NoteKept)
    async def look(self, event: NoteKept) -> None:
        seen = await self.notes.find(event.note)
        row = {"note": event.note, "port": seen.port, "found": seen.found}
        await self.database.execute(insert(HEARD), row)

    async def heard(self, note: str) -> Seen | None:
        return await self.database.fetch_one(LOOK, {"which": note}, into=Seen)


async def page(scope, receive, send):
    """`POST /NOTE` keeps a note, `GET /NOTE` looks for it."""
    assert scope["type"] == "http"
    note = scope["path"].rpartition("/")[2]
    if scope["method"] == "POST":
        await Notes.client().keep(note)
        body = b"{}"
    else:
        seen = await Notes.client().find(note)
        body = json.dumps({"port": seen.port, "found": seen.found}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


system = System(
    "replicated",
    services=[NotesService, ClerkService, DeskService],
    apps=[App("page", page, mount="/page")],
)
