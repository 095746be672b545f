"""Who is banned: addresses that were refused too often, for a while, in bounded room."""

from __future__ import annotations

import logging
import time
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.contracts.message import Message
from meristem.gateway.policy.gateway_refusal import refused
from meristem.gateway.policy.requesters import address_key
from meristem.quantities import seconds_of
from meristem.security.networks import Networks
from meristem.telemetry.sampling import Allowance
from meristem.transports.http.edge_policy import CUT_OFF

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.gateway.policy.firewall_table import FirewallTable
    from meristem.gateway.policy.refusals import Refusals
    from meristem.gateway.policy.visit import Outcome, Visit

logger = logging.getLogger(__name__)
LINES: Final = 10.0  # a second, of bans
MOST: Final = 100_000  # addresses that are banned, and others with violations
LOOKED_AT: Final = 64  # of the oldest, of which the one with the fewest violations makes room
BANNED: Final = refused(403, "this address was refused too often, and is banned for a while")


class BanView(Message):
    """Since when and until when an address is banned, in seconds since 1970, and for what last."""

    address: str
    since: float
    until: float
    why: str


class Violations(NamedTuple):
    """How many an address has, counted until a time of the steady clock."""

    number: int
    until: float


class BanBook:
    """Counts `violations`, and knows who is `banned` until when; both outlive a new table.

    As a check it comes before all others, and costs a look-up. Of IPv6 a network of 64 bits is one address.
    """

    name = "ban"

    def __init__(
        self,
        table: FirewallTable,
        refusals: Refusals,
        now: Callable[[], float] = time.monotonic,
        *,
        before: BanBook | None = None,
    ) -> None:
        ban = table.ban
        assert ban is not None
        self._table = ban
        self._within = seconds_of(ban.within)
        self._lasts = seconds_of(ban.lasts)
        self._trusted = Networks(table.trusted)
        self._answer = CUT_OFF if ban.answer == "cut" else BANNED
        self._refusals = refusals
        self._now = now
        self._lines = Allowance(LINES, now())
        self.violations: dict[str, Violations] = {} if before is None else before.violations
        # In the order in which they end, unless a new table made their time another.
        self.banned: dict[str, tuple[float, BanView]] = {} if before is None else before.banned

    def __call__(self, visit: Visit, /) -> Outcome:
        if not self.banned:
            return None
        address = address_key(visit)
        found = self.banned.get(address)
        if found is None:
            return None
        if found[0] <= self._now():
            del self.banned[address]
            return None
        if visit.request.client in self._trusted:  # by a new table
            return None
        if self._table.dry_run:
            self._refusals.would(visit, self.name, found[1].why)
            return None
        visit.why = f"the address is banned: {found[1].why}"
        return self._answer

    def blame(self, visit: Visit, why: str) -> None:
        """A request was refused for what its address is to blame for."""
        if visit.violation not in self._table.counts or visit.request.client in self._trusted:
            return
        address, now = address_key(visit), self._now()
        if not address or address in self.banned:  # a Unix socket has no address
            return
        known = self.violations.get(address)
        if known is None or known.until <= now:
            self.violations.pop(address, None)  # so that its place in the order is the last one
            known = Violations(0, now + self._within)
        if known.number + 1 >= self._table.violations:
            self.violations.pop(address, None)
            self._ban(address, f"{known.number + 1} violations, the last one: {why}", now)
            return
        self.violations[address] = Violations(known.number + 1, known.until)
        self._make_room(now)

    def is_trusted(self, address: str) -> bool:
        """Whether it is never banned."""
        return address in self._trusted

    def bans(self) -> list[BanView]:
        """Those that hold, the latest first."""
        now = self._now()
        return [ban for until, ban in reversed(self.banned.values()) if until > now]

    def lift(self, address: str) -> bool:
        """Let an address in again; whether it was banned."""
        self.violations.pop(address, None)
        found = self.banned.pop(address, None)
        return found is not None and found[0] > self._now()

    def ban(self, address: str, why: str, seconds: float | None = None) -> BanView:
        """Ban an address by hand, for as long as others are unless `seconds` say how long."""
        return self._ban(address, why, self._now(), seconds)

    def _ban(self, address: str, why: str, now: float, seconds: float | None = None) -> BanView:
        lasts = self._lasts if seconds is None else seconds
        since = time.time()
        self.banned.pop(address, None)
        found = BanView(address=address, since=since, until=since + lasts, why=why)
        self.banned[address] = (now + lasts, found)
        while len(self.banned) > MOST:
            del self.banned[next(iter(self.banned))]
        dry = "would be banned (dry run)" if self._table.dry_run else "is banned"
        if self._lines.take(now):
            logger.warning("%s %s for %g s: %s", address, dry, lasts, why)
        return found

    def _make_room(self, now: float) -> None:
        """Forget whose time is over, and of too many the one with the fewest violations among the oldest."""
        counted = self.violations
        while counted and next(iter(counted.values())).until <= now:
            del counted[next(iter(counted))]
        if len(counted) > MOST:
            oldest = islice(counted.items(), LOOKED_AT)
            del counted[min(oldest, key=lambda each: each[1].number)[0]]
