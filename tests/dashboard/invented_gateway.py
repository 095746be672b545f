"""The gateway of a system that was never run: what a page must bear, and what operators do about it."""

from __future__ import annotations

import random
from typing import Final

from msgspec.structs import replace

from meristem.errors import CallError, Code
from meristem.gateway.policy.ban_book import BanView
from meristem.gateway.policy.refusals import RefusalView
from meristem.operators.gateway_contract import (
    BanChange,
    ConcurrencyView,
    GatewayRouteView,
    GatewayView,
    LimitKeyView,
    LimitView,
    RuleView,
)
from meristem.operators.history_slots import ChartRange
from meristem.operators.route_views import DurationCount, RouteFigures, RoutePoint
from meristem.telemetry.metrics import BOUNDS
from tests.dashboard.invented_loads import AWAY

LONG: Final = "a-route-whose-name-says-at-great-length-what-it-is-for"
FLOODER, SCANNER, HOLDER = "203.0.113.9", "2001:db8:7:1::9", "198.51.100.44"
NETWORK: Final = "2001:db8:7:1::"  # of the scanner, as it is banned


class InventedGateway:
    """Answers `GatewayControl`; `did` is what was asked for. A system without one has `view` as it is made."""

    def __init__(self, now: float, *, is_there: bool) -> None:
        self.did: list[tuple[object, ...]] = []
        self.view = _view(now) if is_there else GatewayView()
        self._now = now

    async def overview(self) -> GatewayView:
        return self.view

    async def unban(self, address: str) -> BanChange:
        self.did.append(("unban", address))
        self.view = replace(self.view, bans=[each for each in self.view.bans if each.address != address])
        return BanChange(replicas=2)

    async def ban(self, address: str, seconds: float, why: str) -> BanChange:
        if ":" not in address and address.count(".") != 3:
            raise CallError(Code.INVALID_ARGUMENT, f"{address!r} is no address; write 192.0.2.1 or 2001:db8::1")
        self.did.append(("ban", address, seconds, why))
        banned = BanView(address=address, since=self._now, until=self._now + seconds, why=why)
        self.view = replace(self.view, bans=[banned, *self.view.bans])
        return BanChange(replicas=2, silent=["edge/2"])


def _view(now: float) -> GatewayView:
    return GatewayView(
        is_there=True,
        bans_there=True,
        routes=[
            _route("site", 3_120_417, {"ban": 88_112, "visitors": 4_031}, {"tighter": 912}, 41.0, 18.2, 0.0004),
            _route("payments", 40_911, {"token": 12, "permission": 3}, {}, 0.31, 0.02, 0.041),
            _route(LONG, 12, {f"a-limit-that-is-called-{each}": 7 for each in "abcdef"}, {}, 0.0, 0.01, 0.0),
            GatewayRouteView(name="old", admitted=0, refused={}, would_refuse={}, answered={"redirect": 77}),
            GatewayRouteView(name="*", admitted=0, refused={}, would_refuse={}),
        ],
        limits=[
            LimitView(
                name="visitors", rate="200/s", burst=100, by=["address"], keys=81_224, waiting=14,
                fullest=_fullest(FLOODER, SCANNER, HOLDER),
            ),
            LimitView(
                name="tighter", rate="30/min", burst=5, by=["tenant", "route"], keys=3, waiting=0, dry_run=True,
                fullest=_fullest("a tenant of a very long name indeed · payments"),
                store="redis://limits.internal:6379/0", is_away=True,
            ),
        ],
        concurrency=[
            ConcurrencyView(name="uploads", requests=4, by=["address"], inside=5, keys=3, fullest=_fullest(HOLDER))
        ],
        rules=[
            RuleView(name="office", action="allow", when=["from 198.51.100.7", "at /admin/*"], status=403),
            RuleView(name="no-admin", action="deny", when=["at /admin/*, /wp-admin/*, /.env"], status=403),
            RuleView(name="rule-3", action="deny", when=["header user-agent is *sqlmap*"], status=444, dry_run=True),
            RuleView(name="rule-4", action="deny", when=[], status=404),
        ],
        bans=[
            BanView(address=NETWORK, since=now - 70, until=now + 530, why="20 violations, the last one: the firewall"),
            BanView(address=FLOODER, since=now - 2000, until=now + 90_000, why="by hand"),
        ],
        banned=1_204,
        latest=_latest(now),
    )  # fmt: skip


def _route(
    name: str,
    admitted: int,
    refused: dict[str, int],
    would: dict[str, int],
    rate: float,
    refusals: float,
    failed: float,
) -> GatewayRouteView:
    return GatewayRouteView(
        name=name,
        admitted=admitted,
        refused=refused,
        would_refuse=would,
        statuses={"200": admitted // 2, "304": admitted // 4, "404": admitted // 8, "502": 3, "503": admitted // 100},
        last_minute=RouteFigures(
            seconds=60.0,
            admitted=rate,
            refused=refusals,
            failed=failed,
            p50=0.0031 if rate else None,
            p99=0.18 if rate else None,
        ),
    )


def _fullest(*keys: str) -> list[LimitKeyView]:
    return [LimitKeyView(key=each, share=1.0 - at * 0.27) for at, each in enumerate(keys)]


def _latest(now: float) -> list[RefusalView]:
    dice = random.Random(4)
    found = []
    for at in range(200):
        client, by, why = dice.choices(
            [
                (FLOODER, "ban", "the address is banned: by hand"),
                (SCANNER, "no-admin", "the firewall's rule 'no-admin' denies it"),
                (HOLDER, "visitors", "the limit 'visitors' allows no more requests now; try again in 1 s"),
                ("198.51.100.45", "tighter", "the limit 'tighter' allows no more requests now"),
            ],
            weights=[90, 20, 6, 4],
        )[0]
        dry_run = by == "tighter"
        path = dice.choice(["/", "/cart", f"/wp-admin/{'setup-' * 20}.php"])
        found.append(
            RefusalView(
                time=now - at * 1.7, route="site", by=by, status=0 if dry_run else 403, client=client,
                user="ada@example.org" if client == HOLDER else "", method="GET", path=path, why=why, dry_run=dry_run,
            )
        )  # fmt: skip
    return found


def route_points(now: float, minutes: int, route: str) -> list[RoutePoint]:
    dice, shown = random.Random(len(route)), ChartRange.of(minutes, now)
    found = []
    for at in range(round((shown.until - shown.since) / shown.width)):
        if at in AWAY:
            continue
        rate, refused = (41.0 if route else 90.0) * dice.uniform(0.8, 1.2), 30.0 if at > 80 else 0.2
        found.append(
            RoutePoint(
                time=shown.end(at),
                figures=RouteFigures(
                    seconds=shown.width, admitted=rate, refused=refused, failed=0.001, p50=0.003, p99=0.2
                ),
                answers={"2xx": rate * 0.9, "4xx": rate * 0.09, "5xx": rate * 0.01},
                durations=[DurationCount(over=BOUNDS[4], up_to=BOUNDS[5], calls=dice.randrange(1, 400))],
            )
        )
    return found
