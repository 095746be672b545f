"""Which statements of the framework's own must cost the same however many rows there are."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from sqlalchemy.sql import ClauseElement, Executable

from meristem.storage.sweep import Sweep

COUNTS: Final = {"events.PENDING", "events.DEAD", "events.OWED", "sagas.COUNTS", "sagas.HORIZONS"}
"""Counting is counting: it goes through an index alone, on a reader, when somebody looks."""
IN_MEMORY: Final = {"events.WAITING", "sagas.RELEASE"}
"""As many rows as replicas hold in memory: those whose attempts failed, and the sagas that run."""


def statements_of(*modules: ModuleType) -> dict[str, Any]:
    """The statements of modules by `room.NAME`; those of a module of statements are whole without an underscore."""
    found: dict[str, Any] = {}
    for module in modules:
        room, of_statements = module.__name__.rpartition(".")[2], module.__name__.endswith("statements")
        room = module.__name__.split(".")[1] if of_statements else room
        for name, value in vars(module).items():
            if isinstance(value, Sweep):
                found |= {f"{room}.{name} piece": value.piece, f"{room}.{name} deletion": value.deletion}
            elif name[:1] == "_" and of_statements:
                continue  # a part of another one
            elif isinstance(value, Executable) and isinstance(value, ClauseElement):
                found[f"{room}.{name}"] = value
    return found
