"""The calls that code can make by clients of its own, which no constructor asks for: `X.client()`, `connect()`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meristem.checking.check_options import CheckOptions
from meristem.checking.checked import Checked
from meristem.checking.codebase import Site
from meristem.checking.import_graph import reachable

if TYPE_CHECKING:
    from meristem.system.plan import Plan


class ClientCall(msgspec.Struct, frozen=True):
    """A service, an app or a program makes a client of a service's contract, in a line of a file."""

    caller: str
    callee: str
    file: str
    line: int


def client_calls(plan: Plan, system: str, root: Path) -> tuple[ClientCall, ...]:
    """The calls of a system that its plan does not tell, read from its source."""
    programs = {each.name: module for each in plan.programs if (module := _module_of(each.command, root)) is not None}
    checked = Checked(plan, system, root, CheckOptions(), beside=programs.values())
    declared = {(each.name, callee) for each in plan.services for callee in (*each.calls, *plan.outside(each))}
    found = {pair: site for pair, site in checked.calls.items() if pair not in declared}
    for name, module in programs.items():
        for callee, site in _named_by(checked, module):
            found.setdefault((name, callee), site)
    return tuple(
        ClientCall(caller, callee, checked.file(site.module), site.line)
        for (caller, callee), site in sorted(found.items())
    )


def _module_of(command: Sequence[str], root: Path) -> str | None:
    """The module of the project that a command runs, by `-m` or by its file; None for a program of another kind."""
    for before, word in zip(("", *command), command, strict=False):
        if before == "-m":
            return word
        file = (root / word).resolve()
        if word.endswith(".py") and file.is_file():
            bases = [each.resolve() for each in (root / "src", root) if file.is_relative_to(each.resolve())]
            return ".".join(file.relative_to(bases[0]).with_suffix("").parts) if bases else None
    return None


def _named_by(checked: Checked, module: str) -> Iterator[tuple[str, Site]]:
    """The services whose contracts a program names, itself or in modules of nobody that it imports.

    It has a client of each by `connect()`, whose methods are called wherever it is handed: a name says that it may.
    """
    names = [each for each in (module, f"{module}.__main__") if each in checked.modules]
    free = {each for each in checked.modules if checked.codebase.parts.owner(each) is None} - checked.defining
    for each in (*names, *sorted(reachable(checked.graph, names, free - {each.module for each in checked.contracts}))):
        for use in checked.codebase.summaries[each].uses:
            place = checked.codebase.locate(use.target)
            if place is not None and place.symbol in checked.contracts and place.rest in {(), ("client",)}:
                yield checked.contracts[place.symbol], Site(each, use.line)
