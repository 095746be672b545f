"""Rate limits: a filter for each, and on routes what they count a request by."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Final

from meristem.gateway.export.envoy.header_matchers import Part
from meristem.gateway.policy.requesters import kinds_of
from meristem.quantities import rate_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.limit_tables import RateLimitTable

TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
LIMITS: Final = "meristem.limits"
"""Where a route tells which limits count its requests: each by its name, or by the route's where it counts by that."""

WHO_ASKS: Final = "meristem"
"""Where the script that finds out who asks tells it."""

LIMIT: Final = "limit"
ADDRESS: Final = "masked_remote_address"
NETWORK: Final = 64  # bits of IPv6 that one host may have all of
WHO: Final = ("user", "tenant")
REMEMBERED: Final = 100_000  # addresses that a limit counts
MOST: Final = 2**32 - 1
LEAST_INTERVAL: Final = Fraction(1, 20)  # seconds; Envoy takes none that is shorter
PERCENT: Final = {True: 100, False: 0}
STATUS: Final = {429: "TooManyRequests", 503: "ServiceUnavailable"}


def asks_who(limit: RateLimitTable) -> bool:
    """Whether it counts by who asks, so that it has to stand behind what finds that out."""
    return not {*WHO}.isdisjoint(kinds(limit))


def rate_filters(table: GatewayTable, *, late: bool) -> Iterator[Part]:
    """A filter for each limit that a route names: it counts what the routes tell it, and nothing else."""
    for name, limit in table.limits.items():
        naming = [route for route, each in table.routes.items() if name in each.limits]
        if not naming or asks_who(limit) is not late:
            continue
        number, seconds = rate_of(limit.rate)
        bucket = _bucket(limit)
        counting = naming if "route" in kinds(limit) else [name]
        yield {
            "name": f"limit.{name}",
            "typed_config": {
                "@type": TYPE,
                "stat_prefix": name,
                "status": {"code": STATUS[limit.status]},
                # What it does not count it lets in: a bucket that nothing empties.
                "token_bucket": bucket | {"max_tokens": MOST, "tokens_per_fill": MOST},
                "always_consume_default_token_bucket": False,
                "filter_enabled": _always(f"limit.{name}.enabled", True),
                "filter_enforced": _always(f"limit.{name}.enforced", not limit.dry_run),
                "response_headers_to_add": [
                    {"header": {"key": "retry-after", "value": str(max(1, ceil(seconds / number)))}}
                ],
                "rate_limits": [{"actions": [*_actions(name, limit)]}],
                "descriptors": [{"entries": [*_entries(limit, each)], "token_bucket": bucket} for each in counting],
                "max_dynamic_descriptors": REMEMBERED,
            },
        }


def counted(names: tuple[str, ...], limits: Mapping[str, RateLimitTable], route: str) -> Part:
    """What a route tells its limits."""
    return {name: route if "route" in kinds(limits[name]) else name for name in names}


def kinds(limit: RateLimitTable) -> tuple[str, ...]:
    """By what a limit counts; API keys are taken by no route that is written here, and an address stands for them."""
    return (*dict.fromkeys("address" if each == "api_key" else each for each in kinds_of(limit.by)),)


def _actions(name: str, limit: RateLimitTable) -> Iterator[Part]:
    """What a request is counted by; nothing on a route that does not name the limit."""
    yield {"metadata": {"descriptor_key": LIMIT, "metadata_key": _key(LIMITS, name), "source": "ROUTE_ENTRY"}}
    if "address" in kinds(limit):
        yield {"masked_remote_address": {"v4_prefix_mask_len": 32, "v6_prefix_mask_len": NETWORK}}
    for each in WHO:
        if each in kinds(limit):
            yield {"metadata": {"descriptor_key": each, "metadata_key": _key(WHO_ASKS, each)}}


def _entries(limit: RateLimitTable, counting: str) -> Iterator[Part]:
    """The same, as a bucket is found by it; what has no value here has a bucket for each."""
    yield {"key": LIMIT, "value": counting}
    if "address" in kinds(limit):
        yield {"key": ADDRESS}
    yield from ({"key": each} for each in WHO if each in kinds(limit))


def _key(name: str, path: str) -> Part:
    return {"key": name, "path": [{"key": path}]}


def _bucket(limit: RateLimitTable) -> Part:
    """The one that the rate allows and the burst; it fills steadily."""
    number, seconds = rate_of(limit.rate)
    rate = Fraction(str(number)) / Fraction(str(seconds))
    times = max(1, ceil(LEAST_INTERVAL / rate.denominator))
    tokens, interval = rate.numerator * times, rate.denominator * times
    return {"max_tokens": limit.burst + 1, "tokens_per_fill": tokens, "fill_interval": f"{interval}s"}


def _always(key: str, is_so: bool) -> Part:
    return {"runtime_key": key, "default_value": {"numerator": PERCENT[is_so], "denominator": "HUNDRED"}}
