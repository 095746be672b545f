"""What operators ask of their own doings: who they are here, and what was done by whom."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import safe
from meristem.operators.actors import Means, Role
from meristem.operators.search_bounds import Most, SoughtText

Outcome: TypeAlias = Literal["running", "done", "partial", "failed", "refused", "unknown"]


class SessionView(Message):
    """Who asks: a `viewer` only looks, an `operator` also acts.

    `means` is `cookie` (the session of a browser), `bearer`, `socket` or `command`.
    """

    role: Role
    means: Means


class ActionSearch(Message):
    """Which actions: those whose operation, arguments or actor have this `text`, which ended so.

    Those that began at `before` or later are left out.
    """

    text: SoughtText = ""
    outcome: Literal[""] | Outcome = ""
    before: float | None = None
    most: Most = 100


class ActionView(Message):
    """What somebody did, or tried: times in seconds since 1970, `arguments` as JSON with secrets masked.

    It is `partial` where some services did not answer, `refused` where the role does not allow it, `unknown` where the
    process that did it ended before it was done. `problem` says who did not answer, or why it failed, by the `code` of
    its error.
    """

    id: str
    time: float
    role: str
    means: str
    contract: str
    operation: str
    arguments: str
    outcome: Outcome
    address: str = ""
    name: str = ""
    user_id: int | None = None
    code: str = ""
    problem: str = ""
    seconds: float | None = None


class Actions(Contract, Protocol, package="meristem.operator.v1"):
    """Who an operator is here, and the log of all that operators did."""

    @safe
    async def session(self) -> SessionView:
        """Who asks, and what that one may do."""
        ...

    @safe
    async def actions(self, search: ActionSearch) -> list[ActionView]:
        """What operators did, the latest first."""
        ...
