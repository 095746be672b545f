"""`async with running(system) as app:` runs a system inside a test."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from meristem.config.project import find, load_object
from meristem.contracts.call import connected
from meristem.errors import ConfigurationError, MisuseError
from meristem.runtime.options import Options
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE, REST, Placement
from meristem.system.placement_tables import TEMPORARY
from meristem.system.system import System
from meristem.testing.app import RunningSystem
from meristem.testing.fakes import check_fakes, contracts_of, narrowed
from meristem.testing.found import found_by
from meristem.testing.history import Recording
from meristem.testing.manual_clock import ManualClock
from meristem.testing.watching import watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from meristem.clock import Clock
    from meristem.contracts.call import Middleware
    from meristem.contracts.operation import Operation
    from meristem.services.service import Service
    from meristem.testing.found import Source
    from meristem.testing.watching import Watcher, Where


@asynccontextmanager
async def running(
    system: System | str,
    *,
    where: Where | None = None,
    only: Sequence[type[Service] | str] | None = None,
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
    until every event is delivered and no saga runs. Without `where` it runs in this process, but for
    `meristem check --divided`, which runs the same tests everywhere.

    - `where="local"`: all in this process, as one that was placed nowhere.
    - `where="wire"`: in this process, but every call passes the codec and a real socket, and one that may be repeated
      is sent twice on purpose.
    - `where="processes"`: every service in a process of its own, or as `placement` says; they find the system by its
      name in a module, by the text that names it here (`"shop.system:system"`), or by the names of the classes and
      functions that it is made of. What they log is logged here, too.

    `only` are the services that run, by class or name, for a test of one with its direct dependencies; what asks for
    another, and finds none in `fakes` either, is refused when it calls it.
    `fakes` maps a contract to the object that answers in its service's stead; the service itself is then not
    started. A class that a service `provides=` to itself can be faked, too; an unknown key is refused. `settings` are
    by service. `database` is a URL in which `{service}` stands for the service's name, `sqlite://` unless given.
    Of a `placement` all holds everywhere but its processes and its resources, which are for `where="processes"`; a
    `database` that is given is stronger there, too.
    A saga tells a bug in what it calls at once, unless `development=False`: then it tries again as in production.
    """
    here = {name: given for name, given in {"fakes": fakes, "clock": clock, "only": only}.items() if given}
    watcher, where = watched(where, partial(found_by, system), here)
    options: dict[str, Any] = {"directory": directory, "development": development}
    options |= {"outgoing": None if watcher is None else watcher.outgoing}
    found = system if isinstance(system, System) else load_system(system)
    if where == "processes":
        _refuse(here)
        options |= {"settings": settings, "database": database, "placement": placement}
        options |= {"observed": watcher is not None}
        placed = _by_processes(found, found_by(system), options)
    else:
        options |= {"clock": clock, "by_hand": isinstance(clock, ManualClock), "environment": {}}
        options |= {"overrides": settings, "database": database or TEMPORARY, "fakes": fakes}
        placed = _in_this_process(found, where, only, options, placement or Placement())
    async with _watched_by(watcher, placed) as app:
        yield app


@asynccontextmanager
async def _watched_by(
    watcher: Watcher | None, placed: AbstractAsyncContextManager[RunningSystem]
) -> AsyncIterator[RunningSystem]:
    """Start a system, make its clients those of the contracts, and tell its watcher when the test has it."""
    async with AsyncExitStack() as stack:
        with nullcontext() if watcher is None else watcher.starting():
            app = await stack.enter_async_context(placed)
        with connected(app):
            if watcher is None:
                yield app
                return
            await watcher.began(app)
            yield app
            await watcher.ended(app)


def load_system(named: str) -> System:
    """The system that `shop.system:system` or `shop.py:system` names, found from the current folder."""
    found = load_object(find(named, Path.cwd()))
    if not isinstance(found, System):
        raise ConfigurationError(f"{named!r} names {type(found).__name__}, not a System")
    return found


def _in_this_process(
    system: System, where: Where, only: Sequence[type[Service] | str] | None, options: dict[str, Any], placed: Placement
) -> AbstractAsyncContextManager[RunningSystem]:
    """The services that are asked for, and the fakes of others, in one piece or by wire."""
    fakes = options["fakes"] or {}
    check_fakes(system, fakes)
    if only is not None:
        system, options["fakes"] = narrowed(system, only, fakes)
    return (_by_wire if where == "wire" else _local)(system, options, placed)


@asynccontextmanager
async def _local(system: System, options: Mapping[str, Any], placement: Placement) -> AsyncIterator[RunningSystem]:
    alone = replace(placement, processes={ALONE: (REST,)})
    blueprint = Blueprint(system, alone, assumed=contracts_of(options["fakes"]))
    recording, of_test = Recording(), options["outgoing"]

    def outgoing(operation: Operation) -> Sequence[Middleware]:
        return [*(of_test(operation) if of_test else ()), *recording.outgoing(operation)]

    around = Options(**{**options, "outgoing": outgoing, "observers": [recording.on_fact]})
    assembly = RunningSystem(blueprint, ALONE, around)
    assembly.recording = recording
    try:
        await assembly.start()
        await assembly.activate()
        yield assembly
        # Only after a test that went well: one that failed must not wait for what it broke.
        await assembly.drain()
    finally:
        await assembly.stop()


def _refuse(here: Mapping[str, object]) -> None:
    """Raise MisuseError for what ties a system to this process."""
    for name in here:
        raise MisuseError(
            f'running(where="processes"): `{name}` is for services in this process; use where="local" or "wire"'
        )


def _by_wire(
    system: System, options: Mapping[str, Any], placement: Placement
) -> AbstractAsyncContextManager[RunningSystem]:
    from meristem.testing.wire import by_wire  # noqa: PLC0415 - most tests do without a server

    return by_wire(system, options, placement)


def _by_processes(
    system: System, found: str | Source, options: Mapping[str, Any]
) -> AbstractAsyncContextManager[RunningSystem]:
    from meristem.testing.processes import by_processes  # noqa: PLC0415 - most tests do without a supervisor

    return by_processes(system, found, **options)
