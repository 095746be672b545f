"""What changed of operations: parameters, semantics, streams, faults, who may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.contracts.evolution.change import ChangeKind, ChangeList, Crossing
from meristem.contracts.evolution.message_changes import MessageChanges
from meristem.contracts.evolution.route_changes import route_changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.contracts.evolution.snapshot import ContractForm, ContractsSnapshot, OperationForm

EVERYBODY: Final = (ChangeKind.WIRE, ChangeKind.JSON, ChangeKind.SOURCE)
KEEPS: Final[Mapping[str, frozenset[str]]] = {
    "plain": frozenset(("plain", "idempotent", "once", "safe")),
    "once": frozenset(("once", "idempotent", "safe")),
    "idempotent": frozenset(("idempotent", "safe")),
    "safe": frozenset(("safe",)),
}
"""By what callers were promised: which semantics keep that promise.

`@once` breaks the promise of `@idempotent`, whose callers repeat a call without a key, and with others.
"""


class OperationChanges:
    """Compares the operations of a contract; what it finds is noted in `changes`."""

    def __init__(self, old: ContractsSnapshot, new: ContractsSnapshot, changes: ChangeList) -> None:
        self._old = old
        self._new = new
        self._changes = changes
        self._types = MessageChanges(old, new, changes)

    def contract(self, name: str, old: ContractForm, new: ContractForm) -> None:
        """Compare two contracts of one name."""
        short = name.rpartition(".")[2]
        self._types.moved(old.source, new.source, short, Crossing(f"code that names {short}", given=True))
        for each in old.operations.values():
            where = f"{short}.{each.name}"
            if each.name in new.operations:
                self._operation(where, each, new.operations[each.name])
            else:
                remedy = "keep it, and say in its docstring what to call instead, until nobody calls it"
                self._changes.add("operation-removed", where, "is gone", remedy, *EVERYBODY, at=new.source)

    def _operation(self, where: str, old: OperationForm, new: OperationForm) -> None:
        if old.streams != new.streams:
            remedy = "add an operation beside it: a stream and a single message are read by different code"
            says = f"took {_streams(old, 'gave')}, and takes {_streams(new, 'gives')}"
            self._changes.add("stream-changed", where, says, remedy, *EVERYBODY, at=new.source)
            return
        if new.semantics not in KEEPS[old.semantics]:
            says = f"was {_semantics(old)} and is {_semantics(new)}: callers repeat it as they were told they may"
            remedy = f"keep {_semantics(old)}, or add an operation beside it"
            self._changes.add("semantics-weakened", where, says, remedy, *EVERYBODY, at=new.source)
        if new.authenticated and not old.authenticated:
            says = "asks for a signed-in user now"
            remedy = "add an operation that asks for one, and let callers move there"
            self._changes.add("authenticated", where, says, remedy, ChangeKind.WIRE, ChangeKind.JSON, at=new.source)
        if old.public and not new.public:
            says = "is for the system's own services now: others are refused"
            remedy = "keep public=True until nobody outside calls it"
            self._changes.add("internal", where, says, remedy, ChangeKind.WIRE, ChangeKind.JSON, at=new.source)
        self._parameters(where, old, new)
        self._reply(where, old, new)
        self._faults(where, old, new)
        request = self._old.messages[old.request], self._new.messages[new.request]
        route_changes(where, old, new, request, self._changes)

    def _parameters(self, where: str, old: OperationForm, new: OperationForm) -> None:
        use = Crossing(f"requests of {where}", old_writes=True, given=True)
        if old.spread != new.spread:
            says = f"took {_signature(old)} and takes {_signature(new)}"
            remedy = "keep the parameters; a new one with a default breaks nobody"
            self._changes.add("signature-changed", where, says, remedy, ChangeKind.SOURCE, at=new.source)
            use = Crossing(use.text, old_writes=True)
        before, after = self._old.messages[old.request], self._new.messages[new.request]
        if not (old.spread or new.spread):
            self._types.messages(old.request, new.request, use)
            return
        self._types.fields(before, after, use, where, new.source)
        if old.spread and new.spread:
            self._order(where, old, new)

    def _order(self, where: str, old: OperationForm, new: OperationForm) -> None:
        """What a caller gives by position must stay there."""
        gone = {each.name for each in old.parameters} - {each.name for each in new.parameters}
        before = [each.name for each in old.parameters if not each.named and each.name not in gone]
        after = [each.name for each in new.parameters if not each.named]
        if after[: len(before)] != before:
            says = f"its positional parameters were {', '.join(before)} and are {', '.join(after) or 'none'}"
            remedy = "add parameters behind the others, and keep those there are where they are"
            self._changes.add("parameters-moved", where, says, remedy, ChangeKind.SOURCE, at=new.source)

    def _reply(self, where: str, old: OperationForm, new: OperationForm) -> None:
        use = Crossing(f"replies of {where}", new_writes=True, given=False)
        self._types.compare(old.reply, new.reply, use, f"{where} -> reply", new.source)
        for keeper in new.kept:
            # Read again by the new code: a stored answer, a step in a journal.
            kept = Crossing(f"{keeper} of {where}", old_writes=True, complete=True)
            self._types.compare(old.reply, new.reply, kept, f"{where} -> reply", new.source)

    def _faults(self, where: str, old: OperationForm, new: OperationForm) -> None:
        raised = {self._new.faults[key].name: key for key in new.raises}
        for key in old.raises:
            fault = self._old.faults[key]
            use = Crossing(f"faults of {where}", new_writes=True, given=False)
            if fault.name not in raised:
                remedy = "go on declaring it as long as callers may catch it"
                says = f"declares {fault.name} no longer, which callers catch"
                self._changes.add("fault-removed", where, says, remedy, ChangeKind.SOURCE, at=new.source)
                continue
            now = self._new.faults[raised[fault.name]]
            self._types.moved(fault.source, now.source, fault.name, use)
            for what, was, is_ in (("code", fault.code, now.code), ("status", fault.status, now.status)):
                if was != is_:
                    kinds = (ChangeKind.WIRE, ChangeKind.JSON) if what == "code" else (ChangeKind.JSON,)
                    says = f"its {what} was {was} and is {is_}"
                    remedy = f"keep the {what}: callers without its class know it by that"
                    self._changes.add("fault-changed", fault.name, says, remedy, *kinds, use=use, at=now.source)
            self._types.fault(fault, now, use)


def _streams(operation: OperationForm, gives: str) -> str:
    taken, given = ("a stream" if each else "one message" for each in operation.streams)
    return f"{taken} and {gives} {given}"


def _semantics(operation: OperationForm) -> str:
    return {"plain": "@operation"}.get(operation.semantics, f"@{operation.semantics}")


def _signature(operation: OperationForm) -> str:
    return f"({', '.join(each.name for each in operation.parameters)})"
