"""Compares two snapshots: every change that breaks a caller, a subscriber, or what is kept from before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.contracts.evolution.change import ChangeKind, ChangeList, Crossing
from meristem.contracts.evolution.message_changes import MessageChanges
from meristem.contracts.evolution.operation_changes import EVERYBODY, OperationChanges
from meristem.contracts.evolution.protobuf_changes import ProtobufChanges

if TYPE_CHECKING:
    from meristem.contracts.evolution.change import Change
    from meristem.contracts.evolution.snapshot import ContractsSnapshot, EventForm, SagaForm


def breaking_changes(old: ContractsSnapshot, new: ContractsSnapshot) -> list[Change]:
    """The changes from one snapshot to another that break somebody."""
    changes = ChangeList()
    operations = OperationChanges(old, new, changes)
    for name, contract in old.contracts.items():
        if name in new.contracts:
            operations.contract(name, contract, new.contracts[name])
            ProtobufChanges(name, contract, new.contracts[name], changes).compare()
        else:
            remedy = "serve it beside its successor until nobody calls it: a service may implement both"
            changes.add("contract-removed", name, "is gone, with all its operations", remedy, *EVERYBODY)
    kept = _Kept(old, new, changes)
    for name, event in old.events.items():
        kept.event(name, event)
    for name, saga in old.sagas.items():
        kept.saga(name, saga)
    return changes.all()


class _Kept:
    """Compares what databases keep from before: events in outboxes, inputs of sagas in journals."""

    def __init__(self, old: ContractsSnapshot, new: ContractsSnapshot, changes: ChangeList) -> None:
        self._old = old
        self._new = new
        self._changes = changes
        self._types = MessageChanges(old, new, changes)

    def event(self, name: str, old: EventForm) -> None:
        new = self._new.events.get(name)
        if new is None:
            remedy = "keep the class, with its name and package, as long as an outbox may hold one and anybody hears it"
            self._changes.add("event-removed", name, "is gone", remedy, ChangeKind.JSON, ChangeKind.SOURCE)
            return
        source = self._new.messages[new.message].source
        if old.key != new.key:
            says = f"its key was {old.key} and is {new.key}: old and new ones have no order among them"
            remedy = "keep the key, or give a new event to those who want another order"
            self._changes.add("event-key-changed", name, says, remedy, ChangeKind.JSON, at=source)
        # Outboxes hold old ones for the new code, and subscribers of the old code hear new ones.
        use = Crossing(f"the event {name}", old_writes=True, new_writes=True, complete=True, given=False)
        self._types.messages(old.message, new.message, use)

    def saga(self, name: str, old: SagaForm) -> None:
        new = self._new.sagas.get(name)
        if new is None:
            if name.partition(".")[0] not in self._new.unread:
                remedy = "keep it until none is in flight: `meristem sagas list`"
                self._changes.add("saga-removed", name, "is gone: those in flight are parked", remedy, ChangeKind.JSON)
            return
        if not new.supports <= old.version <= new.version:
            says = f"supports {new.supports} to {new.version}, and sagas of version {old.version} are in flight"
            remedy = f"support version {old.version} until none is in flight: @saga(version=…, supports={old.version})"
            self._changes.add("saga-version", name, says, remedy, ChangeKind.JSON, at=new.source)
        for event in sorted(set(old.waits) - set(new.waits)):
            says = f"waits for {event} no longer, and sagas in flight may"
            remedy = "keep it in waits= or signals= until none is in flight"
            self._changes.add("saga-waits", name, says, remedy, ChangeKind.JSON, at=new.source)
        before, after = self._old.messages[old.input], self._new.messages[new.input]
        use = Crossing(f"the input of {name} in journals", old_writes=True, complete=True)
        self._types.fields(before, after, use, name, new.source)
        answer = Crossing(f"answers of {name} in journals", old_writes=True, complete=True)
        self._types.compare(old.answer, new.answer, answer, f"{name} -> answer", new.source)
