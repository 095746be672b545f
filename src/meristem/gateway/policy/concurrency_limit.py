"""A bound on how many requests are in flight at once, by the same keys as rate limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.gateway.policy.gateway_refusal import refused
from meristem.gateway.policy.requesters import is_personal, key_of

if TYPE_CHECKING:
    from meristem.gateway.policy.limit_tables import ConcurrencyTable
    from meristem.gateway.policy.refusals import Refusals
    from meristem.gateway.policy.visit import Outcome, Visit

AGAIN = (b"retry-after", b"1")


class ConcurrencyLimit:
    """One limit of the table, for all routes that name it; a request is in flight until its answer is out.

    `inside` are how many are, by key. It comes last: what rate limits took for a request that it refuses is given back.
    """

    def __init__(self, name: str, table: ConcurrencyTable, refusals: Refusals) -> None:
        self.name = name
        self.table = table
        self.inside: dict[str, int] = {}
        self._key = key_of(table.by)
        self._is_personal = is_personal(table.by)
        self._refusals = refusals

    def __call__(self, visit: Visit, /) -> Outcome:
        key = self._key(visit)
        inside = self.inside.get(key, 0)
        if inside >= self.table.requests:
            why = f"as many requests are in flight as the limit {self.name!r} allows"
            if not self.table.dry_run:
                visit.give_back()
                visit.violation = "limited" if self._is_personal else None
                return refused(self.table.status, f"{why}; try again when one of them has its answer", AGAIN)
            self._refusals.would(visit, self.name, why)
        self.inside[key] = inside + 1
        visit.leaving.append(lambda: self._leave(key))
        return None

    def _leave(self, key: str) -> None:
        left = self.inside[key] - 1
        if left:
            self.inside[key] = left
        else:
            del self.inside[key]
