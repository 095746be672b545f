"""The dashboard of a run: what its placement says of it, made when the run begins."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING

from meristem.dashboard.static_pages import DashboardPages
from meristem.errors import ConfigurationError
from meristem.operators.action_log import ActionLog
from meristem.operators.history_file import Keeping
from meristem.operators.observatory import Observatory
from meristem.operators.server import Dashboard, PublicDashboard
from meristem.operators.sign_in import OperatorSignIn
from meristem.system.noted_settings import read_noted
from meristem.system.state_directory import ACTIONS, HISTORY, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meristem.operators.health import Overview
    from meristem.system.placement_tables import OperatorTable, PublicTable
    from meristem.system.state_directory import StateDirectory


def dashboard_of(
    state: StateDirectory, environment: Mapping[str, str], table: OperatorTable, history: str = HISTORY
) -> Callable[[Overview], Dashboard] | None:
    """What makes the dashboard of a system, None where the placement wants none; `history` is the name of its file."""
    if not table.dashboard:
        return None
    kept = table.history
    public = None if table.public is None else _public(table.public, state.path.parent.parent)

    def made(overview: Overview) -> Dashboard:
        noted = partial(read_noted, state.path, overview.pid)
        keeping = Keeping(kept.days, kept.spans, kept.lines, kept.figures)
        observatory = Observatory(overview, state.path / history, ActionLog(state.path / ACTIONS), keeping, noted)
        sign_in = OperatorSignIn(overview.system, state.secret(environment), state.path / TOKENS)
        return Dashboard(observatory, sign_in, DashboardPages(), public)

    return made


def _public(table: PublicTable, folder: Path) -> PublicDashboard:
    if table.certificate is None or table.key is None:
        return PublicDashboard(table.hosts)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # An empty password: nobody is there to be asked for one.
        tls.load_cert_chain(folder / table.certificate, folder / table.key, password="")
    except (OSError, ValueError) as error:  # SSLError is an OSError
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"[operator.public]: {table.certificate} and {table.key} are no certificate with its key: {why}"
        ) from None
    return PublicDashboard(table.hosts, tls)
