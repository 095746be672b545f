"""Checks a system by its source: every rule, applied to all of its modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.checking import boundaries, shared_state, structure
from meristem.checking.check_options import CheckOptions
from meristem.checking.checked import Checked

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.checking.finding import Finding
    from meristem.system.plan import Plan

RULES = (
    boundaries.imports,
    boundaries.reaches,
    boundaries.statements,
    shared_state.state,
    shared_state.files,
    shared_state.patches,
    structure.directions,
    structure.circles,
    structure.contract_circles,
    structure.untested,
    structure.unheard,
    structure.uncalled,
)


def check(plan: Plan, system: str, root: Path, options: CheckOptions | None = None) -> list[Finding]:
    """What is wrong with the system of a plan that is defined at the path `system`, in the project's folder `root`.

    Nothing of it is imported. Raises ConfigurationError for source that can't be read, and without grimp.
    """
    checked = Checked(plan, system, root, options or CheckOptions())
    found = {each for rule in RULES for each in rule(checked) if not checked.options.excuses(each)}
    return sorted(found)
