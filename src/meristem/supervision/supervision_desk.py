"""Answers operators who want to restart or scale what a supervisor runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from meristem.errors import CallError, Code
from meristem.hints import meant
from meristem.operators.supervision_contract import MOST_REPLICAS, PlacedPart, SupervisionView
from meristem.supervision.changes import RunChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meristem.operators.supervision_contract import ChangeView
    from meristem.supervision.changes import RunChanges
    from meristem.system.plan import Plan, ProcessPlan


class Steered(Protocol):
    """A supervisor, as far as it can be steered."""

    plan: Plan

    @property
    def counts(self) -> Mapping[str, int]:
        """How many replicas there are of each process and program."""
        ...

    async def replace(self, names: Iterable[str], change: RunChange) -> None:
        """Start them anew; raises StartError."""
        ...

    async def scale(self, process: str, count: int, change: RunChange) -> None:
        """Have so many replicas; raises StartError."""
        ...

    def all_parts(self) -> list[str]:
        """Processes and programs, those first that others call."""
        ...


class SupervisionDesk:
    """Begins changes of a supervisor, and tells how they go; it answers `ProcessControl`.

    `single` tells of processes that may have one replica only why that is so.
    """

    def __init__(self, steered: Steered, changes: RunChanges, single: Mapping[str, str]) -> None:
        self._steered = steered
        self._changes = changes
        self._single = single

    async def supervision(self) -> SupervisionView:
        plan, counts = self._steered.plan, self._steered.counts
        parts = [self._process(each, counts.get(each.name, 0)) for each in plan.processes]
        parts += [
            PlacedPart(
                name=each.name,
                is_program=True,
                replicas=counts.get(each.name, 0),
                placed=each.replicas,
                most=each.replicas,
                fixed=_fixed_program(each.name),
            )
            for each in plan.programs
        ]
        return SupervisionView(refusal="", parts=parts, changes=[each.view() for each in self._changes.latest])

    def _process(self, process: ProcessPlan, count: int) -> PlacedPart:
        fixed = self._why_single(process)
        most = max(1, count) if fixed else MOST_REPLICAS
        return PlacedPart(
            name=process.name, is_program=False, replicas=count, placed=process.replicas, most=most, fixed=fixed
        )

    async def restart(self, process: str) -> ChangeView:
        self._known(process)
        return self._restart(f"process {process}", process, [process])

    async def restart_program(self, program: str) -> ChangeView:
        names = [each.name for each in self._steered.plan.programs]
        if program not in names:
            there = f"there is {', '.join(names)}" if names else "this system has none"
            raise CallError(Code.NOT_FOUND, f"no program {program!r} runs here; {meant(program, names, there)}")
        return self._restart(f"program {program}", program, [program])

    async def restart_all(self) -> ChangeView:
        return self.begin_restart_of_all().view()

    def begin_restart_of_all(self) -> RunChange:
        """Start everything anew, unless that is under way."""
        return self._begin("everything", "", self._steered.all_parts())

    async def scale(self, process: str, replicas: int) -> ChangeView:
        found = self._known(process)
        count = self._steered.counts.get(process, 0)
        if replicas > count and (why := self._why_single(found)):
            raise CallError(Code.FAILED_PRECONDITION, why)
        change = RunChange(
            kind="scale",
            name=process,
            of=abs(replicas - count),
            replicas=replicas,
            work=lambda change: self._steered.scale(process, replicas, change),
            said=f"process {process} gets {_replicas(replicas)} instead of {count}",
            through=f"process {process} has {_replicas(replicas)}; the placement file stays as it is",
        )
        return self._changes.begin(change).view()

    def _restart(self, what: str, name: str, parts: list[str]) -> ChangeView:
        return self._begin(what, name, parts).view()

    def _begin(self, what: str, name: str, parts: list[str]) -> RunChange:
        change = RunChange(
            kind="restart",
            name=name,
            of=sum(self._steered.counts.get(each, 0) for each in parts),
            work=lambda change: self._steered.replace(parts, change),
            said=f"starting {what} anew, one replica after the other",
            through=f"{what} has been started anew",
        )
        return self._changes.begin(change)

    def _known(self, process: str) -> ProcessPlan:
        processes = {each.name: each for each in self._steered.plan.processes}
        if process not in processes:
            if any(each.name == process for each in self._steered.plan.programs):
                raise CallError(Code.NOT_FOUND, f"{process} is a program: {_fixed_program(process)}")
            hint = meant(process, processes, f"there is {', '.join(processes)}")
            raise CallError(Code.NOT_FOUND, f"no process {process!r} runs here; {hint}")
        return processes[process]

    def _why_single(self, process: ProcessPlan) -> str:
        if not process.overlap:
            return f"process {process.name} may have one replica only: the placement says overlap = false for it"
        return self._single.get(process.name, "")


def _fixed_program(name: str) -> str:
    return f"a program has as many replicas as its system says, by replicas= of {name}; restart_program renews them"


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
