"""The dashboard of a run: what its placement says of it, made when the run begins."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from meristem.dashboard.static_pages import DashboardPages
from meristem.operators.action_log import ActionLog
from meristem.operators.history_file import Keeping
from meristem.operators.observatory import Observatory
from meristem.operators.server import Dashboard
from meristem.operators.sign_in import OperatorSignIn
from meristem.system.noted_settings import read_noted
from meristem.system.state_directory import ACTIONS, HISTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.operators.health import Overview
    from meristem.system.placement_tables import OperatorTable
    from meristem.system.state_directory import StateDirectory


def dashboard_of(
    state: StateDirectory, environment: Mapping[str, str], table: OperatorTable
) -> Callable[[Overview], Dashboard] | None:
    """What makes the dashboard of a system, None where the placement wants none."""
    if not table.dashboard:
        return None
    kept = table.history

    def made(overview: Overview) -> Dashboard:
        noted = partial(read_noted, state.path, overview.pid)
        keeping = Keeping(kept.days, kept.spans, kept.lines)
        observatory = Observatory(overview, state.path / HISTORY, ActionLog(state.path / ACTIONS), keeping, noted)
        return Dashboard(observatory, OperatorSignIn(overview.system, state.secret(environment)), DashboardPages())

    return made
