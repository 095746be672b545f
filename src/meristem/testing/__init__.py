"""What tests of systems need: a running system, fakes in one line, and time that moves when told."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from meristem.testing.app import RunningSystem
    from meristem.testing.harness import running
    from meristem.testing.history import PublishedEvent, SentCall
    from meristem.testing.manual_clock import ManualClock
    from meristem.testing.replaying import replay_sagas
    from meristem.testing.watching import Where

# pytest imports this room for its plugin in every run; a run that starts no system does not pay for one.
LATER: Final = {
    "ManualClock": "meristem.testing.manual_clock",
    "PublishedEvent": "meristem.testing.history",
    "RunningSystem": "meristem.testing.app",
    "SentCall": "meristem.testing.history",
    "Where": "meristem.testing.watching",
    "replay_sagas": "meristem.testing.replaying",
    "running": "meristem.testing.harness",
}

__all__ = ["ManualClock", "PublishedEvent", "RunningSystem", "SentCall", "Where", "replay_sagas", "running"]


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'meristem.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(LATER[name]), name)
