"""The hook for telemetry: observers are told of each statement; without any, nothing is measured."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

Observer = Callable[..., None]
"""Called with the database's name, the statement's text, the seconds waited, and the row count or the error.

Then with the server, where a replica has answered. What is deferred travels with the next statement, or with COMMIT,
and is not emitted by itself.
"""

Observers = list[Observer]


def begin(observers: Observers) -> float:
    """When a statement began; zero without observers."""
    return perf_counter() if observers else 0.0


def emit(observers: Observers, name: str, text: str, began: float, result: int | BaseException, *server: str) -> None:
    """Emit to the observers how a statement went, if there were any when it began."""
    if began:
        seconds = perf_counter() - began
        for observer in observers:
            observer(name, text, seconds, result, *server)
