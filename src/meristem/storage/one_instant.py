"""Fixes the state of several databases at one moment, although any number of processes write to them.

A cut is consistent if it holds the cause of every effect in it: no event that was handled before it was published, no
answer that was stored before what it tells of. That is certain where all states are of one moment. So the writers of
all databases are kept out at once, each state is fixed, and the writers go on: they wait for milliseconds, however long
the copying takes afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Final, NamedTuple

from meristem.errors import StorageUnavailable
from meristem.storage.database_file import Cut

PATIENCE: Final = 30.0  # seconds for a moment in which nobody writes to any of the databases
HOLD: Final = 0.25  # seconds for which those that are held may wait for the rest


class Instant(NamedTuple):
    """When it was, and for how many seconds writers were kept out."""

    at: datetime
    held: float


def fix_all(cuts: Mapping[str, Cut], patience: float = PATIENCE) -> Instant:
    """Fix all cuts at one moment.

    Raises StorageUnavailable with the name of one that somebody wrote to for all of `patience` seconds.
    """
    until, order = monotonic() + patience, list(cuts)
    while (busy := _hold(cuts, order, until)) is not None:
        if monotonic() >= until:
            raise StorageUnavailable(
                f"database {busy!r} was written to for {patience:g} s without a pause: back up when it has less to do, "
                "shorten its transactions, or wait longer"
            )
        # Next time it is waited for first, while nothing else is held: a long transaction holds up no other service.
        order = [busy, *(name for name in order if name != busy)]
    began = monotonic()
    try:
        for cut in cuts.values():
            cut.fix()
        at = datetime.now(UTC)
    finally:
        _release(cuts, order)
    return Instant(at, monotonic() - began)


def _hold(cuts: Mapping[str, Cut], order: Sequence[str], until: float) -> str | None:
    """Hold all in this order, or none; answers with the one that could not be had."""
    held: list[str] = []
    limit = until
    try:
        for name in order:
            if not cuts[name].hold(limit - monotonic()):
                _release(cuts, held)
                return name
            held.append(name)
            limit = min(limit, monotonic() + HOLD) if len(held) == 1 else limit
    except BaseException:
        _release(cuts, held)
        raise
    return None


def _release(cuts: Mapping[str, Cut], names: Sequence[str]) -> None:
    for name in names:
        cuts[name].release()
