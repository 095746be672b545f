"""Acting on databases where nothing runs, by the command: written down as what operators do to a system that runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from meristem.contracts.contract import operations
from meristem.operators.actors import Actor
from meristem.operators.guarded_routes import changes, logged

if TYPE_CHECKING:
    from meristem.operators.action_log import ActionLog


class LoggedDesk:
    """A desk with the operations of an operator contract, of which those that change something stand in the `log`."""

    def __init__(self, desk: object, contract: type, log: ActionLog) -> None:
        self._desk = desk
        self._operations = operations(contract)
        self._log = log

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._desk, name)
        operation = self._operations.get(name)
        if operation is None or not changes(operation):
            return method

        async def act(*values: Any, **named: Any) -> Any:
            given = named | dict(zip((each.name for each in operation.parameters), values, strict=False))
            request = operation.request(**given) if operation.spread else next(iter(given.values()))
            user = os.getuid() if hasattr(os, "getuid") else None
            actor = Actor("operator", "command", user_id=user)
            return await logged(self._log, actor, operation, request, lambda: method(*values, **named))

        return act
