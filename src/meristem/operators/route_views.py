"""What becomes of requests on a route of the gateway, now and over time, and how many calls took how long."""

from __future__ import annotations

from meristem.contracts.message import Message


class DurationCount(Message):
    """How many calls took more than `over` seconds and at most `up_to`, None where that has no bound."""

    over: float
    up_to: float | None
    calls: int


class RouteFigures(Message):
    """What happened on a route in the last `seconds`: requests a second that were `admitted` and `refused`.

    Of answers, `failed` is the share of those with 500 and above, `p50` and `p99` are seconds until they began, None
    where nothing was answered.
    """

    seconds: float = 0.0
    admitted: float = 0.0
    refused: float = 0.0
    failed: float = 0.0
    p50: float | None = None
    p99: float | None = None


class RoutePoint(Message):
    """What became of requests in the seconds that end at `time`, in seconds since 1970.

    `answers` are those to what was admitted, a second, by the class of their statuses: `2xx`. The `durations` are a
    column of a heat map.
    """

    time: float
    figures: RouteFigures
    answers: dict[str, float] = {}
    durations: list[DurationCount] = []
