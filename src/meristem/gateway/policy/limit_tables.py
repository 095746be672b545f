"""The tables of a gateway's limits: how often, and how many at once."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from meristem.contracts.bounds import Count, Room
from meristem.quantities import RateText, rate_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

By: TypeAlias = Literal["address", "user", "tenant", "api_key", "route", "everybody"]
Status: TypeAlias = Literal[429, 503]
StoreUrl: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^(memory|rediss?://[^\s]+)$(?!\n)", description='"memory", or the address of a Redis: redis://host'),
]
MEMORY: Final = "memory"


class RateLimitTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `rate` requests, and `burst` more at once; what is beyond is refused with `status`.

    With `delay` what is above the rate, up to `burst`, is not served at once but in its turn, so that what stands
    behind the gateway sees no more than the rate; where it is a number, so many of the burst are served at once before.
    At most `waiting` requests of all wait for their turn. Each address, or whatever it is counted `by`, has its own.
    In a `store` all replicas count together. With `dry_run` it counts and refuses nothing.
    """

    rate: RateText
    burst: Room = 0
    delay: bool | Room = False
    waiting: Count = 1_000
    by: By | tuple[By, ...] = "address"
    status: Status = 429
    store: StoreUrl = MEMORY
    dry_run: bool = False

    @property
    def per_second(self) -> float:
        """The rate as requests a second."""
        number, seconds = rate_of(self.rate)
        return number / seconds

    @property
    def window(self) -> int:
        """Seconds in which an empty bucket fills, whole ones: in these no more may come than the burst and one."""
        number, seconds = rate_of(self.rate)
        return ceil((self.burst + 1) * seconds / number)

    @property
    def undelayed(self) -> float:
        """How many requests may be ahead of the rate before one is delayed."""
        return inf if self.delay is False else int(self.delay is not True and self.delay)

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound table."""
        try:
            rate_of(self.rate)
        except ValueError as error:
            return f"rate: {error}"
        if self.delay is not False and not self.burst:
            return "delay: nothing is ever delayed without a burst; give it, or leave delay out"
        if self.delay is not True and self.delay > self.burst:
            return f"delay = {self.delay} is above burst = {self.burst}, so nothing would be delayed; leave it out"
        return combination_problem(self.by)


class ConcurrencyTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many `requests` in flight, WebSockets among them; what is beyond is refused with `status`.

    Each address, or whatever it is counted `by`, has its own. With `dry_run` it counts and refuses nothing.
    """

    requests: Count
    by: By | tuple[By, ...] = "address"
    status: Status = 429
    dry_run: bool = False


def limits_problem(limits: Mapping[str, RateLimitTable], concurrency: Mapping[str, ConcurrencyTable]) -> str | None:
    """What cannot be meant of all limits; None for sound ones."""
    for name, limit in limits.items():
        if (problem := limit.problem()) is not None:
            return f"[gateway.limits.{name}]: {problem}"
    for name, most in concurrency.items():
        if (problem := combination_problem(most.by)) is not None:
            return f"[gateway.concurrency.{name}]: {problem}"
    return None


def combination_problem(by: str | tuple[str, ...]) -> str | None:
    """Why nothing can be counted so; None for what can."""
    if isinstance(by, str):
        return None
    if not by:
        return 'by: an empty list counts nothing; give "everybody" for all together'
    if twice := next((each for each in by if by.count(each) > 1), None):
        return f'by: "{twice}" stands there twice'
    if "everybody" in by and len(by) > 1:
        return 'by: "everybody" stands alone, for it is one for all'
    return None


def unknown_limit(key: str, named: Sequence[str], known: Mapping[str, object]) -> str | None:
    """What a route names that is no limit, or names twice; None where all are known."""
    if strange := next((each for each in named if each not in known), None):
        return f"{key}: there is no [gateway.{key}.{strange}]; known are {', '.join(known) or 'none'}"
    if twice := next((each for each in named if named.count(each) > 1), None):
        return f"{key}: {twice} stands there twice"
    return None
