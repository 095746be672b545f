"""A system in processes of its own, supervised for the length of a test."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from contextlib import asynccontextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.config.project import find
from meristem.discovery.static import StaticResolver
from meristem.errors import MisuseError
from meristem.lifecycle import Stack
from meristem.runtime.options import Options, Silent
from meristem.supervision.descriptions import Descriptions
from meristem.supervision.environments import PYTHON, Environments
from meristem.supervision.interpreters import interpreters
from meristem.supervision.supervisor import NAME, Supervisor
from meristem.supervision.workplace import Workplace
from meristem.system.addresses import service_addresses
from meristem.system.blueprint import Blueprint
from meristem.system.placement import REST, Placement
from meristem.system.placement_tables import TEMPORARY, Resources
from meristem.system.state_directory import StateDirectory
from meristem.testing.app import RunningSystem
from meristem.testing.elsewhere import There, all_figures, settled
from meristem.testing.found import own_path
from meristem.testing.published import FOLDER, read, write
from meristem.testing.wire import CALLER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from meristem.config.project import Reference
    from meristem.runtime.options import Outgoing
    from meristem.system.plan import ServicePlan
    from meristem.system.system import System
    from meristem.testing.eventually import Surroundings
    from meristem.testing.found import Source
    from meristem.testing.published import PublishedPlain

logger = logging.getLogger(__name__)
LEVELS: Final = logging.getLevelNamesMapping()


class Outside(RunningSystem):
    """The test's own place beside the processes: `address` is where the system serves the public.

    `supervisor` tells what runs, so that a test may end it: `app.supervisor.statuses()`.
    """

    events: Path | None = None  # where the processes write what they publish, where somebody wants to know

    def __init__(self, blueprint: Blueprint, options: Options, supervisor: Supervisor) -> None:
        super().__init__(blueprint, CALLER, options)
        self.supervisor = supervisor
        self.address = supervisor.address

    def _why_not(self, name: str, _: Sequence[str]) -> str:
        services = ", ".join(sorted(each.name for each in self.blueprint.plan.services))
        if name not in {each.name for each in self.blueprint.plan.services}:
            return f"of {self.blueprint.system.name!r} there run {services}"
        return (
            "it runs in another process, into which a test can't reach; "
            'call it by app.client(…), or run it here with where="local" or "wire"'
        )

    def _around(self, within: float) -> Surroundings:  # noqa: ARG002 - no clock of theirs can be moved
        return There(self.blueprint.plan, self.supervisor.run)

    async def settled(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - whoever runs out of time is told what is left
        """Wait until every event is delivered, or a dead letter, and no saga runs; one that waits may go on waiting.

        Every process is asked by its `/metrics`, which counts at most once a second: it takes as long at least.
        Raises TimeoutError that says what is left.
        """
        await settled(self.blueprint.plan, self.supervisor.run, timeout)

    async def all_events(self) -> list[PublishedPlain]:
        """What each process has written of what it published."""
        return [] if self.events is None else read(self.events)

    async def all_figures(self) -> list[str]:
        """The text of `/metrics` of each process that answers."""
        return await all_figures(self.blueprint.plan, self.supervisor.run)


@asynccontextmanager
async def by_processes(
    system: System,
    found: str | Source,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None,
    database: str | None,
    directory: Path | None,
    placement: Placement | None,
    development: bool,
    outgoing: Outgoing | None,
    observed: bool,
) -> AsyncIterator[RunningSystem]:
    """Start the processes, wait until all are ready, and end them when the block does."""
    with tempfile.TemporaryDirectory(prefix="meristem-") as folder:
        state = StateDirectory(Path(folder), system.name)
        reference = find(found if isinstance(found, str) else found.write(Path(folder)), Path.cwd())
        root = reference.root if reference.file else directory or Path(folder)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(own_path()), PYTHON: sys.executable}
        environments = Environments(root, environment, Silent())
        wanted = placement or Placement()
        described = Descriptions(system, wanted, root, environments, environment=environment).all()
        placed = _placement(Blueprint(system, described=described), placement, settings or {}, database)
        blueprint = Blueprint(system, placed, described=described)
        file = Path(folder) / "placement.toml"
        file.write_text(as_toml(msgspec.to_builtins(placed)), encoding="utf-8")
        place = Workplace(state, directory or Path(folder), port=0, secure=placed.is_secure)
        pythons, foreign = interpreters(blueprint.plan, placed, root, environments)
        command = _Command(reference, file, pythons, development=development)
        events = Path(folder) / "events"
        if observed:
            events.mkdir()
            environment[FOLDER] = str(events)
            command.also("--observer", f"{write.__module__}:{write.__name__}")
        supervisor = Supervisor(
            blueprint.plan, place, arguments=command, console=Echo(), environment=environment, foreign=foreign
        )
        async with Stack() as stack:
            await stack.start(supervisor)
            outside = await _outside(stack, blueprint, supervisor, state, described, outgoing)
            outside.events = events if observed else None
            yield outside
            await stack.drain()


async def _outside(
    stack: Stack,
    blueprint: Blueprint,
    supervisor: Supervisor,
    state: StateDirectory,
    described: Mapping[str, ServicePlan],
    outgoing: Outgoing | None,
) -> Outside:
    placed = blueprint.placement
    beside = msgspec.structs.replace(placed, processes={CALLER: (), **placed.processes})
    resolver = StaticResolver(service_addresses(blueprint.plan, supervisor.run))
    sign = state.tokens(os.environ).prove
    options = Options(environment={}, resolver=resolver, sign=sign, outgoing=outgoing)
    outside = Outside(Blueprint(blueprint.system, beside, described=described), options, supervisor)
    await stack.start(outside)
    await outside.activate()
    return outside


def _placement(
    blueprint: Blueprint, placement: Placement | None, settings: Mapping[str, Mapping[str, Any]], database: str | None
) -> Placement:
    if placement is None:
        alone: dict[str, Any] = {each.name: (each.name,) for each in blueprint.plan.services}
        if blueprint.system.apps:
            alone["apps"] = (REST,)
        placement = Placement(processes=alone, resources=Resources(database=TEMPORARY))
    # The test's own settings are the stronger ones, key by key, as they are without processes.
    merged = {
        name: {**placement.settings.get(name, {}), **settings.get(name, {})}
        for name in {*settings, *placement.settings}
    }
    resources = placement.resources
    if database is not None:
        resources = msgspec.structs.replace(resources, database=database, databases={}, replicas=(), replicas_of={})
    return msgspec.structs.replace(placement, settings=merged, resources=resources)


class _Command:
    """The command line of a replica: `meristem process`."""

    def __init__(self, reference: Reference, placement: Path, pythons: Mapping[str, str], *, development: bool) -> None:
        self._pythons = pythons
        self._system = f"{reference.file or reference.module}:{reference.attribute}"
        self._placement = str(placement)
        self._also = ["--development"] if development else []

    def also(self, *options: str) -> None:
        """Give each process these options as well."""
        self._also += options

    def __call__(self, process: str, replica: int, listen: str) -> list[str]:
        which = ["--placement", self._placement, "--process", process, "--replica", str(replica)]
        options = ["--listen", listen, "--log-format", "json", "--log-level", "info", *self._also]
        return [self._pythons[process], "-m", "meristem", "process", self._system, *which, *options]


class Echo:
    """Logs here what the processes logged, as the same records: a test reads them as if there were one process."""

    def write(self, label: str, line: bytes) -> None:
        """Log one line; what is no line of a log is one of level info."""
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            logger.info("%s: %s", label, line.decode(errors="replace"))
            return
        level = LEVELS.get(str(record.get("level", "info")).upper(), logging.INFO)
        if label == NAME or not logging.getLogger(str(record.get("logger"))).isEnabledFor(level):
            return
        text = "\n".join(str(record[key]) for key in ("event", "exception") if key in record)
        logging.getLogger(str(record.get("logger"))).log(level, "%s", text, extra={"process_label": label})


def as_toml(values: Mapping[str, Any]) -> str:
    """A mapping of plain values as TOML, each key on one line."""
    return "".join(f"{_quoted(key)} = {_inline(each)}\n" for key, each in values.items() if each is not None)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{_quoted(str(key))} = {_inline(each)}" for key, each in value.items() if each is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        if None in value:
            raise MisuseError(f"TOML has no None, and so no list with one in it: {value!r}; leave it out")
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # inf, -inf and nan, as TOML spells them, too
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    # JSON leaves a DEL as it is, which TOML forbids.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
