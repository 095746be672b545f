"""A service, and what `provides` makes, may be a dataclass: its fields are what the constructor asks for."""

from __future__ import annotations

import sys
from dataclasses import KW_ONLY, InitVar, dataclass, field
from types import ModuleType
from typing import Any, ClassVar, Protocol

import pytest

from meristem import Clock, Contract, Database, MisuseError, Service, Settings, System, every, once, operation, safe
from meristem.services.service import Need, describe
from meristem.testing import running

ELSEWHERE = """
from __future__ import annotations

from dataclasses import dataclass

from meristem import Clock as Watch


@dataclass
class Base:
    watch: Watch
"""


def imported(name: str, source: str) -> Any:
    module = sys.modules[name] = ModuleType(name)
    exec(source, module.__dict__)
    return module


class Rooms(Contract, Protocol, package="rooms.v1"):
    @safe
    async def free(self) -> int: ...


class Desk(Contract, Protocol, package="desk.v1"):
    @operation
    async def book(self) -> list[str]: ...

    @once
    async def keep(self) -> str: ...


class RoomsService(Rooms, Service):
    async def free(self) -> int:
        return 3


class DeskSettings(Settings):
    house: str = "Astoria"


@dataclass
class Ledger:
    clock: Clock
    settings: DeskSettings
    pages: list[str] = field(default_factory=list)


class Done(Desk):
    async def book(self) -> list[str]:
        return []

    async def keep(self) -> str:
        return ""


@dataclass
class Plain(Done, Service, provides=[Ledger]):
    longest: ClassVar[int] = 3

    rooms: Rooms
    ledger: Ledger
    seen: list[str] = field(default_factory=list)
    label: str = "desk"
    total: int = field(init=False, default=0)
    _: KW_ONLY
    database: Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Slotted(Done, Service, name="front", provides=[Ledger]):
    rooms: Rooms
    ledger: Ledger


@dataclass
class Derived(Plain, name="derived"):
    clock: Clock = field(kw_only=True)


@dataclass
class Elsewhere(imported("dataclass_elsewhere", ELSEWHERE).Base, Done, Service):
    rooms: Rooms


@dataclass
class Passing(Done, Service):
    rooms: Rooms
    clock: InitVar[Clock]

    def __post_init__(self, clock: Clock) -> None:
        self.began = clock.now()


@dataclass
class Written(Done, Service):
    rooms: Rooms

    def __init__(self, clock: Clock) -> None: ...


class NoDataclass(Plain):
    """Derived from a dataclass without being one."""


ROOMS, CLOCK, LEDGER = Need("rooms", Rooms), Need("clock", Clock), Need("ledger", Ledger)
DATABASE = Need("database", Database)


@pytest.mark.parametrize(
    ("service", "needs"),
    [
        (Plain, (ROOMS, LEDGER, DATABASE)),
        (Slotted, (ROOMS, LEDGER)),
        (Derived, (ROOMS, LEDGER, DATABASE, CLOCK)),
        (Elsewhere, (Need("watch", Clock), ROOMS)),
        (Passing, (ROOMS, CLOCK)),
        (Written, (CLOCK,)),
        (NoDataclass, (ROOMS, LEDGER, DATABASE)),
    ],
)
def test_the_fields_that_the_constructor_takes_are_found_by_their_type(service, needs):
    assert describe(service).needs == needs


def test_a_dataclass_with_slots_keeps_what_its_class_line_says():
    assert (Slotted.service_name, Slotted.provides) == ("front", (Ledger,))


def test_what_provides_makes_may_be_a_dataclass():
    (made,) = describe(Plain).providers
    assert made.needs == (CLOCK, Need("settings", DeskSettings))


def test_a_field_that_nothing_gives_is_refused_with_the_service_and_the_remedy():
    @dataclass
    class Strange(Done, Service):
        number: int

    with pytest.raises(MisuseError, match="Strange: nothing gives its parameter `number: int`"):
        describe(Strange)


def test_a_name_that_is_imported_for_checking_only_is_named_with_its_class():
    @dataclass
    class Unknown(Done, Service):
        rooms: Missing  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(MisuseError, match="Unknown: 'Missing' in its constructor is not defined where the class is"):
        describe(Unknown)


def desk(options: dict[str, bool]) -> type[Service]:
    @dataclass(**options)
    class DeskService(Desk, Service, provides=[Ledger]):
        rooms: Rooms
        ledger: Ledger
        database: Database

        async def book(self) -> list[str]:
            self.ledger.pages.append(f"{self.ledger.settings.house} {await self.rooms.free()}")
            return self.ledger.pages

        async def keep(self) -> str:
            return "kept"

        @every(seconds=3600.0)
        async def sweep(self) -> None: ...

    return DeskService


@pytest.mark.parametrize("options", [{}, {"kw_only": True}, {"slots": True}, {"frozen": True, "slots": True}])
async def test_a_dataclass_runs_as_any_service_does(options):
    async with running(System("house", services=[desk(options), RoomsService])) as app:
        client = app.client(Desk)
        assert await client.book() == ["Astoria 3"]
        assert await client.book() == ["Astoria 3", "Astoria 3"]
        assert await client.keep() == "kept"
