"""What the services of one process share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.contracts.call import Middleware
    from meristem.events.bus import Bus
    from meristem.events.poison import Quarantine
    from meristem.events.sendable import Sendable
    from meristem.runtime.options import Options
    from meristem.runtime.telemetry import ProcessTelemetry


class Shared(NamedTuple):
    """What the services of one process share.

    `replica` names the process on its host and keeps that name when it starts again; `middleware` wraps every
    operation inside its context. `sendable` is what an event may hold. `follows` says that
    what callers write is followed, for read replicas. `quarantine` has what their events' handlers share.
    """

    system: str
    replica: str
    options: Options
    bus: Bus
    quarantine: Quarantine
    telemetry: ProcessTelemetry
    middleware: Sequence[Middleware]
    sendable: Sendable
    follows: bool = False
