"""An inn's contracts as text, so that a test can change a line; and what is found of the change, by us and by buf."""

import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from meristem.contracts.contract import operations
from meristem.contracts.evolution.breaking import breaking_changes
from meristem.contracts.evolution.change import Change
from meristem.contracts.evolution.snapshot import ContractsSnapshot
from meristem.contracts.evolution.taking import SnapshotTaker
from meristem.contracts.message import Event
from meristem.contracts.protobuf.proto_text import proto_texts
from meristem.sagas.saga import sagas_of

INN = """
from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from meristem import Code, Contract, Event, Fault, Flow, Message, Service, idempotent, on, once, operation, safe, saga


class Kind(Enum):
    SINGLE = "single"
    DOUBLE = "double"


class Mood(Enum):
    CALM = "calm"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> "Mood":
        return cls.OTHER


class Money(Message):
    amount: Decimal
    currency: str = "EUR"


class Card(Message, tag="card"):
    token: str


class Transfer(Message, tag="transfer"):
    iban: str


class Stay(Message):
    room: str
    nights: Annotated[int, Meta(ge=1, le=30)]
    kind: Kind = Kind.DOUBLE
    wishes: tuple[str, ...] = ()
    note: str | None = None


class Hold(Message):
    hold_id: UUID
    price: Money
    floor: Annotated[int, Meta(ge=0, le=9)]
    mood: Mood = Mood.CALM
    until: datetime | None = None
    board: Literal["half", "full"] = "half"


class Guest(Message, forbid_unknown_fields=True):
    name: str
    age: int = 0


class Taken(Fault, code=Code.FAILED_PRECONDITION):
    room: str


class Lost(Fault, code=Code.NOT_FOUND):
    hold_id: UUID


class Rooms(Contract, Protocol, package="inn.v1"):
    @safe(http="GET /rooms/{city}")
    async def free(self, city: str, guests: int = 2) -> list[Hold]: ...

    @once(http="POST /holds", status=201, raises=[Taken, Lost])
    async def hold(self, stay: Stay) -> Hold: ...

    @idempotent
    async def release(self, hold_id: UUID) -> None: ...

    @operation
    async def pay(self, hold_id: UUID, means: Card | Transfer) -> Card | Transfer: ...

    @safe
    async def greet(self, guest: Guest) -> Guest: ...

    @safe
    async def kinds(self) -> dict[str, Kind]: ...

    @safe
    def watch(self, city: str) -> AsyncIterator[Hold]: ...


class Held(Event, package="inn.v1", key="room"):
    room: str
    nights: int
    note: str = ""


class Left(Event, package="inn.v1"):
    room: str


class DeskService(Service, name="desk"):
    @saga(version=2, waits=[Held, Left])
    async def book(self, flow: Flow, stay: Stay, tries: int = 3) -> None: ...
"""


class Release:
    """One release of the inn: its snapshot and its `.proto`; `lock` keeps its numbers."""

    def __init__(self, text: str, folder: Path, lock: str = "") -> None:
        folder.mkdir()
        if lock:
            (folder / "contracts.lock").write_text(lock)
        file = folder / "inn.py"
        file.write_text(text)
        found = importlib.util.spec_from_file_location("inn", file)
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        # As long as its classes are looked at: annotations are resolved in the module of that name.
        sys.modules["inn"] = module
        try:
            found.loader.exec_module(module)
            self.proto, self.snapshot = _proto(module), _snapshot(module, folder)
        finally:
            del sys.modules["inn"]


def _own(module: Any) -> list[Any]:
    own = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
    return list(dict.fromkeys(own))


def _proto(module: Any) -> dict[str, str]:
    found = [each for each in _own(module) if isinstance(each, type) and each.__dict__.get("contract_name")]
    return proto_texts([each for contract in found for each in operations(contract).values()])


def _snapshot(module: Any, folder: Path) -> ContractsSnapshot:
    taker = SnapshotTaker("inn", folder)
    for each in _own(module):
        if isinstance(each, type) and each.__dict__.get("contract_name"):
            taker.contract(each, {"hold": ("stored answers",)})
        elif isinstance(each, type) and issubclass(each, Event):
            taker.event(each)
        elif isinstance(each, type):
            for saga in sagas_of(each).values():
                waits = [event.event_type for event in saga.waits]
                terms = {"version": saga.version, "supports": saga.supports}
                taker.saga("desk", saga.function, saga.input, saga.returns, waits=waits, **terms)
    return taker.snapshot()


def releases(folder: Path, *edits: tuple[str, str], lock: str = "") -> tuple[Release, Release]:
    """The inn as it is, and with each text replaced by another and a lock beside it."""
    text = INN
    for old, new in edits:
        assert text.count(old) >= 1, f"the inn has no {old!r}"
        text = text.replace(old, new)
    return Release(INN, folder / "old"), Release(text, folder / "new", lock)


def ours(old: Release, new: Release) -> list[Change]:
    """What we find."""
    return breaking_changes(old.snapshot, new.snapshot)


def bufs(old: Release, new: Release, folder: Path) -> dict[str, set[str]]:
    """What buf finds of the `.proto`: its rules, by the kinds that they stand for."""
    buf = Path(sys.executable).parent / "buf"
    for name, release in (("a", old), ("b", new)):
        (folder / name).mkdir()
        for path, text in release.proto.items():
            file = folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        config = "version: v2\nbreaking:\n  use: [FILE, WIRE_JSON, WIRE]\n"
        (folder / name / "buf.yaml").write_text(config)
    command = [str(buf), "breaking", ".", "--against", str(folder / "a"), "--error-format", "json"]
    ended = subprocess.run(command, cwd=folder / "b", capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode in (0, 100), ended.stderr
    found: dict[str, set[str]] = {}
    for line in ended.stdout.splitlines():
        rule = json.loads(line)["type"]
        for category, kind in (("FILE", "source"), ("WIRE_JSON", "json"), ("WIRE", "wire")):
            if category in categories()[rule]:
                found.setdefault(kind, set()).add(rule)
    return found


@cache
def categories() -> dict[str, set[str]]:
    """The categories of each of buf's rules."""
    buf = Path(sys.executable).parent / "buf"
    told = subprocess.run(
        [str(buf), "config", "ls-breaking-rules", "--format", "json"], capture_output=True, text=True, check=True
    )
    rules = [json.loads(line) for line in told.stdout.splitlines()]
    return {each["id"]: set(each["categories"]) for each in rules}
