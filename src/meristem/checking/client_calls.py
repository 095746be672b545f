"""The calls that code can make by clients of its own, `X.client()`, which no constructor asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meristem.checking.check_options import CheckOptions
from meristem.checking.checked import Checked

if TYPE_CHECKING:
    from meristem.system.plan import Plan


class ClientCall(msgspec.Struct, frozen=True):
    """A service or an app makes a client of a service's contract, in a line of a file."""

    caller: str
    callee: str
    file: str
    line: int


def client_calls(plan: Plan, system: str, root: Path) -> tuple[ClientCall, ...]:
    """The calls of a system that its plan does not tell, read from its source."""
    checked = Checked(plan, system, root, CheckOptions())
    declared = {(each.name, callee) for each in plan.services for callee in each.calls}
    return tuple(
        ClientCall(caller, callee, checked.file(site.module), site.line)
        for (caller, callee), site in sorted(checked.calls.items())
        if (caller, callee) not in declared
    )
