"""Makes one answer of what several processes, or databases, say of a system's sagas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.operators.saga_contract import FoundSagas

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def newest(answers: Iterable[FoundSagas], most: int | None, silent: Sequence[str] = ()) -> FoundSagas:
    """The newest sagas of several answers in one order, so that one saga tells where the next page begins."""
    told = list(answers)
    found = sorted(
        (each for answer in told for each in answer.sagas),
        key=lambda each: (each.saga.created, each.saga.id),
        reverse=True,
    )
    return FoundSagas(
        sagas=found[:most],
        services=sorted(name for answer in told for name in answer.services),
        more=any(answer.more for answer in told) or (most is not None and len(found) > most),
        silent=sorted({*silent, *(name for answer in told for name in answer.silent)}),
    )
