"""What `meristem gateway status` says of durations and of refusals is short, whatever they are."""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, datetime

from meristem.cli.gateway import _latest, _quantiles
from meristem.gateway.policy.refusals import RefusalView
from meristem.telemetry.metrics import BOUNDS


def refused(second: int, client: str, why: str, *, dry_run: bool = False) -> RefusalView:
    moment = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC).timestamp()
    told = {"route": "site", "method": "GET", "path": "/", "why": why, "dry_run": dry_run}
    return RefusalView(time=moment, client=client, by="x", status=403, user="", **told)


def test_refusals_that_are_alike_are_one_row_at_the_time_of_the_last():
    latest = [
        refused(9, "192.0.2.1", "banned"),
        refused(8, "192.0.2.2", "a rule"),
        refused(7, "192.0.2.1", "banned"),
        refused(6, "192.0.2.2", "a rule", dry_run=True),
    ]
    assert _latest(latest) == [
        ["2026-01-01 00:00:09", "2", "192.0.2.1", "GET /", "site", "banned"],
        ["2026-01-01 00:00:08", "1", "192.0.2.2", "GET /", "site", "a rule"],
        ["2026-01-01 00:00:06", "1", "192.0.2.2", "GET /", "site", "a rule (dry run)"],
    ]


def test_milliseconds_have_no_exponent():
    within = [0] * (len(BOUNDS) + 1)
    within[bisect_left(BOUNDS, 2.4)] = 1
    told = _quantiles(within)
    assert "e+" not in told
    assert re.fullmatch(r"\d,\d{3} / \d,\d{3} ms", told)
