"""What a gateway has decided: counts by route and check, the latest refusals, and lines in the log of dry runs."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Final

from meristem.contracts.message import Message
from meristem.gateway.policy.gateway_refusal import detail_of
from meristem.gateway.policy.route_answers import RouteAnswers
from meristem.telemetry.sampling import Allowance

if TYPE_CHECKING:
    from meristem.gateway.policy.visit import Visit
    from meristem.transports.http.responses import Response

logger = logging.getLogger(__name__)
LATEST: Final = 200
REFUSED: Final = 400  # the least status that says so
LONGEST_PATH: Final = 200  # characters
ADMITTED: Final = "admitted"
DRY: Final = "dry_run:"
ANSWERED: Final = "answered:"  # by the gateway itself: a redirect, a preflight
LINES: Final = 1.0  # a second, of dry runs


class RefusalView(Message):
    """A request that was refused, or in a dry run would have been: `status` is 444 for a connection that was cut.

    `time` is in seconds since 1970. Its query and its head, which may hold what is secret, are not kept.
    """

    time: float
    route: str
    by: str
    status: int
    client: str
    user: str
    method: str
    path: str
    why: str
    dry_run: bool = False


class Refusals:
    """Counts what becomes of requests. `counts` are by route and by what let a request in or refused it.

    `answers` are those to requests that were let in, by route.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.answers: defaultdict[str, RouteAnswers] = defaultdict(RouteAnswers)
        self.latest: deque[RefusalView] = deque(maxlen=LATEST)
        self._lines = Allowance(LINES, time.monotonic())
        self._untold = 0

    def admitted(self, visit: Visit) -> None:
        self.counts[visit.route, ADMITTED] += 1

    def refused(self, visit: Visit, by: str, response: Response) -> str:
        """A response of this kind is what the request is answered with; gives why."""
        why = visit.why or detail_of(response)
        is_refusal = response.status >= REFUSED
        self.counts[visit.route, by if is_refusal else ANSWERED + by] += 1
        if is_refusal:
            self.latest.append(_refusal(visit, by, response.status, why))
        return why

    def would(self, visit: Visit, by: str, why: str) -> None:
        """A dry run would have refused this."""
        self.counts[visit.route, DRY + by] += 1
        found = _refusal(visit, by, 0, why, dry_run=True)
        self.latest.append(found)
        if not self._lines.take(time.monotonic()):
            self._untold += 1
            return
        beside = f" (and {self._untold} others since the last line)" if self._untold else ""
        self._untold = 0
        text = "a dry run of %s would have refused %s %s of %s on route %s: %s%s"
        logger.info(text, by, found.method, found.path, found.client or "a Unix socket", found.route, why, beside)


def _refusal(visit: Visit, by: str, status: int, why: str, *, dry_run: bool = False) -> RefusalView:
    request = visit.request
    user = "" if visit.user is None else visit.user.subject[:LONGEST_PATH]
    path = request.path[:LONGEST_PATH].decode("latin-1")
    return RefusalView(
        time=time.time(),
        route=visit.route,
        by=by,
        status=status,
        client=request.client,
        user=user,
        method=request.method,
        path=path,
        why=why,
        dry_run=dry_run,
    )
