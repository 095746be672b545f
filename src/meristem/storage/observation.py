"""The hook for telemetry: who watches is told of each statement; when nobody does, nothing is measured."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from meristem.storage.driver import Outcome

Observer = Callable[[str, str, float, int | BaseException], None]
"""Called with the database's name, the statement's text, the seconds waited, and the row count or the error.

What is deferred travels with the next statement, or with COMMIT, and is not told of by itself.
"""

Observers = list[Observer]


async def observed(observers: Observers, name: str, text: str, work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Await the work and tell the observers how it went."""
    started = perf_counter()
    try:
        outcome = await work
    except BaseException as error:
        _tell(observers, name, text, perf_counter() - started, error)
        raise
    _tell(observers, name, text, perf_counter() - started, outcome.rowcount)
    return outcome


def _tell(observers: Observers, name: str, text: str, seconds: float, result: int | BaseException) -> None:
    for observer in observers:
        observer(name, text, seconds, result)
