"""Where a supervisor works: folders, addresses, and what operators are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meristem.operators.health import SystemParts
from meristem.operators.server import OperatorAddresses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meristem.operators.health import Overview
    from meristem.operators.server import Dashboard
    from meristem.system.state_directory import StateDirectory


class Workplace(NamedTuple):
    """Where the supervisor works: the system's state directory, the project's folder, the public host and port.

    `operators` is where those read, besides a socket among those of the system; `parts` is what they see the system to
    consist of, and `dashboard` makes what shows it; `placement` is the file by which it runs. `single` tells of
    processes that may have one replica only why that is so. The public port speaks TLS where it is `secure`.
    """

    state: StateDirectory
    directory: Path
    host: str = "127.0.0.1"
    port: int = 8000
    operators: OperatorAddresses = OperatorAddresses()
    placement: Path | None = None
    parts: SystemParts = SystemParts((), ())
    dashboard: Callable[[Overview], Dashboard] | None = None
    single: Mapping[str, str] = {}
    secure: bool = False
