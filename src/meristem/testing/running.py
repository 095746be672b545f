"""`async with running(system) as app:` runs a system inside a test."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec.structs import replace

from meristem.config.project import find, load_object
from meristem.contracts.call import connected
from meristem.errors import ConfigurationError, MisuseError
from meristem.runtime.options import Options
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE, REST, Placement
from meristem.system.system import System
from meristem.testing.app import PRIVATE, RunningSystem
from meristem.testing.fakes import check_fakes, contracts_of
from meristem.testing.manual_clock import ManualClock
from meristem.testing.wire import by_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from meristem.clock import Clock

Where: TypeAlias = Literal["local", "wire", "processes"]


@asynccontextmanager
async def running(
    system: System | str,
    *,
    where: Where = "local",
    fakes: Mapping[type, object] | None = None,
    clock: Clock | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    database: str | None = None,
    directory: Path | None = None,
    placement: Placement | None = None,
    development: bool = True,
) -> AsyncIterator[RunningSystem]:
    """Run all services of a system for a test, with databases of their own that vanish afterwards.

    `app.client(Payments)` gives a client; inside the block `Payments.client()` does, too. `await app.settled()` waits
    until every event is delivered and no saga runs.

    - `where="local"`: all in this process, as one that was placed nowhere.
    - `where="wire"`: in this process, but every call passes the codec and a real socket, and one that may be repeated
      is sent twice on purpose.
    - `where="processes"`: every service in a process of its own, or as `placement` says; the system is then named by
      where it is (`"shop.system:system"`). What the processes log is logged here, too.

    `fakes` maps a contract to the object that answers in its service's stead; the service itself is then not
    started. A class that a service `provides=` to itself can be faked, too; an unknown key is refused. `settings` are
    by service. `database` is a URL in which `{service}` stands for the service's name, `sqlite://` unless given.
    Of a `placement` all holds everywhere but its processes and its resources, which are for `where="processes"`; a
    `database` that is given is stronger there, too.
    A saga tells a bug in what it calls at once, unless `development=False`: then it tries again as in production.
    """
    if where == "processes":
        _check_processes(system, fakes, clock)
        assert isinstance(system, str)
        placed = _by_processes(
            system, settings=settings, database=database, directory=directory, placement=placement,
            development=development,
        )  # fmt: skip
    else:
        options: dict[str, Any] = {"clock": clock, "overrides": settings, "environment": {}, "fakes": fakes}
        options |= {"database": database or PRIVATE, "directory": directory, "development": development}
        options |= {"by_hand": isinstance(clock, ManualClock)}
        found = system if isinstance(system, System) else load_system(system)
        check_fakes(found, fakes or {})
        place = by_wire if where == "wire" else _local
        placed = place(found, options, placement or Placement())
    async with placed as app:
        with connected(app):
            yield app


def load_system(named: str) -> System:
    """The system that `shop.system:system` or `shop.py:system` names, found from the current folder."""
    found = load_object(find(named, Path.cwd()))
    if not isinstance(found, System):
        raise ConfigurationError(f"{named!r} names {type(found).__name__}, not a System")
    return found


@asynccontextmanager
async def _local(system: System, options: Mapping[str, Any], placement: Placement) -> AsyncIterator[RunningSystem]:
    alone = replace(placement, processes={ALONE: (REST,)})
    blueprint = Blueprint(system, alone, assumed=contracts_of(options["fakes"]))
    assembly = RunningSystem(blueprint, ALONE, Options(**options))
    try:
        await assembly.start()
        await assembly.activate()
        yield assembly
        # Only after a test that went well: one that failed must not wait for what it broke.
        await assembly.drain()
    finally:
        await assembly.stop()


def _check_processes(system: System | str, fakes: object, clock: object) -> None:
    if not isinstance(system, str):
        raise MisuseError('running(where="processes"): name the system by where it is, e.g. "shop.system:system"')
    if fakes or clock:
        given = "fakes" if fakes else "clock"
        raise MisuseError(
            f'running(where="processes"): `{given}` lives in this process, which others cannot reach; '
            f'use where="local" or "wire"'
        )


def _by_processes(system: str, **options: Any) -> AbstractAsyncContextManager[RunningSystem]:
    from meristem.testing.processes import by_processes  # noqa: PLC0415 - most tests do without a supervisor

    return by_processes(load_system(system), find(system, Path.cwd()), **options)
