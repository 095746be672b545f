"""The contract on the gateway for operators: who may come in how often, who is banned, and who was refused and why."""

from __future__ import annotations

from typing import Annotated, Final, Protocol, TypeAlias

from msgspec import Meta

from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import idempotent, safe
from meristem.gateway.certificate_view import CertificateView
from meristem.gateway.policy.ban_book import BanView
from meristem.gateway.policy.refusals import RefusalView
from meristem.operators.route_views import RouteFigures

AddressText: TypeAlias = Annotated[str, Meta(max_length=64)]
MOST_SECONDS: Final = 30 * 86_400.0
FULLEST: Final = 10  # keys that are told of each limit
MOST_BANS: Final = 1000  # that are told, the latest


class GatewayRouteView(Message):
    """A route and what became of its requests since its processes began.

    `refused` and `would_refuse` (in dry runs) are by what refused them: a rule, a limit, a check. `answered` by the
    gateway itself were redirects and preflights. What was admitted was answered by these `statuses` (499 for a client
    that left before), and `durations` count the seconds until the answers began, in the buckets of the histogram at
    `/metrics`. `last_minute` is known to who runs the system.
    """

    name: str
    admitted: int
    refused: dict[str, int]
    would_refuse: dict[str, int]
    answered: dict[str, int] = {}
    statuses: dict[str, int] = {}
    durations: list[int] = []
    last_minute: RouteFigures = RouteFigures()


class LimitKeyView(Message):
    """Who is counted as one, and which share of what it may take at once is taken: at 1 the next request is refused."""

    key: str
    share: float


class LimitView(Message):
    """A rate limit: how many keys are counted now, how many requests wait for their turn, who is nearest to refusal.

    `store` is where replicas count together, empty where each counts for itself; `is_away` that it does not answer.
    """

    name: str
    rate: str
    burst: int
    by: list[str]
    keys: int
    waiting: int
    fullest: list[LimitKeyView]
    dry_run: bool = False
    store: str = ""
    is_away: bool = False


class ConcurrencyView(Message):
    """A bound on requests in flight, how many are, of how many keys, and whose are the most."""

    name: str
    requests: int
    by: list[str]
    inside: int
    keys: int
    fullest: list[LimitKeyView]
    dry_run: bool = False


class RuleView(Message):
    """A rule of the firewall: it allows or denies requests that are all that `when` says.

    Where that is empty, it is every request. What a rule has denied stands with the routes, by its name.
    """

    name: str
    action: str
    when: list[str]
    status: int
    dry_run: bool = False


class GatewayView(Message):
    """The gateway of a system, all replicas of its edge together; without one, `is_there` is False.

    `bans` are the latest 1,000 of those `banned`, who are counted as one where several replicas have them.
    `silent` are replicas that did not answer: what they know is missing here. `certificate` is the one of all replicas
    that ends first; None where the public addresses speak no TLS themselves.
    """

    is_there: bool = False
    bans_there: bool = False
    routes: list[GatewayRouteView] = []
    limits: list[LimitView] = []
    concurrency: list[ConcurrencyView] = []
    rules: list[RuleView] = []
    bans: list[BanView] = []
    banned: int = 0
    latest: list[RefusalView] = []
    silent: list[str] = []
    certificate: CertificateView | None = None


class BanChange(Message):
    """In how many replicas of the edge something was changed; `silent` are those that did not answer."""

    replicas: int
    silent: list[str] = []


class GatewayControl(Contract, Protocol, package="meristem.operator.v1"):
    """What stands between the internet and the services, and whom it keeps out."""

    @safe
    async def overview(self) -> GatewayView:
        """Its routes, limits, bans and latest refusals."""
        ...

    @idempotent
    async def unban(self, address: AddressText) -> BanChange:
        """Let an address in again, in every replica; of IPv6 its network of 64 bits."""
        ...

    @idempotent
    async def ban(self, address: AddressText, seconds: float, why: str) -> BanChange:
        """Keep an address out for a time, in every replica; of IPv6 its network of 64 bits."""
        ...
