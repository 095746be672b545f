"""Answers who an operator is here, and what operators did."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import TYPE_CHECKING

from meristem.errors import CallError, Code
from meristem.operators.actions_contract import ActionView, SessionView
from meristem.operators.actors import ACTING

if TYPE_CHECKING:
    from meristem.operators.action_log import ActionEntry, ActionLog
    from meristem.operators.actions_contract import ActionSearch


class ActionsDesk:
    """Reads the log of actions; it answers `Actions`."""

    def __init__(self, log: ActionLog) -> None:
        self._log = log

    async def session(self) -> SessionView:
        actor = ACTING.get()
        if actor is None:
            raise CallError(Code.UNAUTHENTICATED, "who asks is known at the operators' addresses alone")
        return SessionView(role=actor.role, means=actor.means)

    async def actions(self, search: ActionSearch) -> list[ActionView]:
        return await asyncio.to_thread(self._find, search)

    def _find(self, search: ActionSearch) -> list[ActionView]:
        wanted, found = re.compile(re.escape(search.text), re.IGNORECASE), []
        ends: dict[str, ActionEntry] = {}
        for entry in self._log.entries():
            if entry.event == "ended":
                ends[entry.id] = entry
                continue
            view = self._view(entry, ends.pop(entry.id, None))
            if (
                search.outcome in ("", view.outcome)
                and (search.before is None or view.time < search.before)
                and wanted.search(
                    f"{view.contract}.{view.operation} {view.arguments} {view.role} {view.name} {view.problem}"
                )
            ):
                found.append(view)
                if len(found) == search.most:
                    break
        return found

    def _view(self, begun: ActionEntry, end: ActionEntry | None) -> ActionView:
        if begun.event == "refused":
            outcome, told = "refused", begun
        elif end is not None:
            outcome, told = end.outcome, end
        else:
            outcome, told = ("running" if begun.id in self._log.running else "unknown"), begun
        return ActionView(
            id=begun.id,
            time=datetime.fromisoformat(begun.time).timestamp(),
            role=begun.role,
            means=begun.means,
            contract=begun.contract,
            operation=begun.operation,
            arguments="" if bytes(begun.arguments) == b"null" else bytes(begun.arguments).decode(),
            outcome=outcome,  # type: ignore[arg-type]
            address=begun.address,
            name=begun.name,
            user_id=begun.user_id,
            code=told.code,
            problem=told.problem,
            seconds=told.seconds,
        )
