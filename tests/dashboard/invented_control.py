"""What is invented of acting: who looks on, what was done, and what can be restarted or scaled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from meristem.errors import CallError, Code
from meristem.operators.actions_contract import ActionView, SessionView
from meristem.operators.supervision_contract import ChangeView, PlacedPart, SupervisionView

if TYPE_CHECKING:
    from meristem.operators.actions_contract import ActionSearch
    from tests.dashboard.invented import Invented


class InventedControl:
    """Answers `Actions` and `ProcessControl`; `did` is what was asked for."""

    def __init__(self, invented: Invented) -> None:
        self.role, self.did = "operator", []
        counts: dict[tuple[str, bool], int] = {}
        for each in invented.processes:
            counts[each.name, each.is_program] = counts.get((each.name, each.is_program), 0) + 1
        self.parts = [
            PlacedPart(
                name=name,
                is_program=is_program,
                replicas=count,
                placed=count,
                most=count if is_program else 64,
                fixed="a program has as many replicas as its system says" if is_program else "",
            )
            for (name, is_program), count in counts.items()
        ]
        self.changes: list[ChangeView] = []
        self.actions_done = [
            _action(1, "scale", "done", '{"process":"edge","replicas":3}', seconds=0.004),
            _action(2, "cancel", "failed", '{"service":"bookings"}', problem="the saga has ended", seconds=0.01),
            _action(3, "redrive", "refused", "", role="viewer", problem="you look on as a viewer"),
            _action(4, "restart", "unknown", '{"process":"stock"}'),
        ]

    async def session(self) -> SessionView:
        return SessionView(role=self.role, means="cookie")  # type: ignore[arg-type]

    async def actions(self, search: ActionSearch) -> list[ActionView]:
        return [
            each
            for each in self.actions_done
            if search.outcome in ("", each.outcome) and search.text in f"{each.operation} {each.arguments}"
        ]

    async def supervision(self) -> SupervisionView:
        return SupervisionView(refusal="", parts=self.parts, changes=self.changes)

    async def restart(self, process: str) -> ChangeView:
        return self._change("restart", process)

    async def restart_program(self, program: str) -> ChangeView:
        return self._change("restart", program)

    async def restart_all(self) -> ChangeView:
        return self._change("restart", "")

    async def scale(self, process: str, replicas: int) -> ChangeView:
        if any(each.state == "running" for each in self.changes):
            raise CallError(Code.FAILED_PRECONDITION, "nothing was begun: something else is under way")
        return self._change("scale", process, replicas)

    def _change(self, kind: str, name: str, count: int = 1) -> ChangeView:
        self.did.append((kind, name, count))
        made = ChangeView(
            number=len(self.changes) + 1, kind=kind, name=name, state="running", done=0, of=count, began=time.time(),
            replicas=count if kind == "scale" else None,
        )  # fmt: skip  # type: ignore[arg-type]
        self.changes.insert(0, made)
        return made


def _action(
    number: int,
    operation: str,
    outcome: str,
    arguments: str,
    *,
    role: str = "operator",
    problem: str = "",
    seconds: float | None = None,
) -> ActionView:
    return ActionView(
        id=str(number),
        time=time.time() - number * 90,
        role=role,
        means="cookie",
        contract="meristem.operator.v1.ProcessControl",
        operation=operation,
        arguments=arguments,
        outcome=outcome,  # type: ignore[arg-type]
        address="127.0.0.1",
        problem=problem,
        seconds=seconds,
    )
