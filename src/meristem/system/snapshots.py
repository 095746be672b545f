"""Takes the snapshot of a system: its contracts, the events of its code, and the inputs of its sagas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.config.project import explained
from meristem.contracts.contract import operations
from meristem.contracts.evolution.taking import SnapshotTaker
from meristem.contracts.message import Event
from meristem.contracts.operation import Semantics
from meristem.sagas.commands import signal_type
from meristem.sagas.saga import sagas_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meristem.contracts.contract import Contract
    from meristem.contracts.evolution.snapshot import ContractsSnapshot
    from meristem.system.blueprint import Blueprint

OURS: Final = __name__.partition(".")[0]


def snapshot_of(blueprint: Blueprint, root: Path) -> ContractsSnapshot:
    """What others rely on of a system; files are told relative to `root`.

    Services that are named by text are imported, for their sagas and events. What one of them needs may be installed
    for its own interpreter alone: then its contracts are told without them, and it stands in `unread`.
    """
    taker = SnapshotTaker(blueprint.system.name, root)
    unread: dict[str, str] = {}
    for service in blueprint.plan.services:
        try:
            spec = blueprint.spec(service.name)
        # Whatever a module of the project's raises while it is imported.
        except (Exception, SystemExit) as error:
            unread |= dict.fromkeys((service.name, service.kept_as), explained(error))
            continue
        for each in sagas_of(spec.implementation).values():
            waits = [*(event.event_type for event in each.waits), *map(signal_type, each.signals)]
            answer = each.returns if "return" in each.function.__annotations__ else None
            terms = {"version": each.version, "supports": each.supports}
            taker.saga(service.kept_as, each.function, each.input, answer, waits=waits, **terms)
    journals = _journals(blueprint)
    for contract in blueprint.contracts():
        taker.contract(contract, _kept(contract, journals.get(contract.contract_name, ())))
    for event in events_of(Event):
        if event.__module__.partition(".")[0] != OURS:
            taker.event(event)
    return taker.snapshot(unread)


def _journals(blueprint: Blueprint) -> dict[str, tuple[str, ...]]:
    """By contract: the services whose sagas may have its replies in their journals."""
    found: dict[str, tuple[str, ...]] = {}
    for service in blueprint.plan.services:
        for contract in service.asks if service.sagas else ():
            found[contract] = (*found.get(contract, ()), f"journals of {service.name}'s sagas, with replies")
    return found


def _kept(contract: type[Contract], journals: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    once = "stored answers"
    return {
        name: (*((once,) if each.semantics is Semantics.ONCE else ()), *journals)
        for name, each in operations(contract).items()
        if not each.lasts
    }


def events_of(event: type[Event]) -> Iterator[type[Event]]:
    """The events of the code that is imported by now."""
    # Which of them a service publishes is known only when it does, so all that its code has count.
    for each in event.__subclasses__():
        yield each
        yield from events_of(each)
