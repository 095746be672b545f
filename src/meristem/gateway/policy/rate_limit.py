"""One rate limit of the table at work, for all routes that name it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from functools import lru_cache, partial
from hashlib import blake2b
from math import ceil
from typing import TYPE_CHECKING, Final

from meristem.gateway.policy.requesters import asks_who, is_personal, key_of, kinds_of
from meristem.gateway.policy.token_bucket import TokenBuckets

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.gateway.policy.limit_tables import RateLimitTable
    from meristem.gateway.policy.token_bucket import Withdrawal

KNOWN: Final = 1_024  # keys of which it is remembered how others see them


class RateLimit:
    """A limit by its name: the buckets of its keys, who waits for a turn, and how its answers tell where it stands.

    The fields are those of draft-ietf-httpapi-ratelimit-headers-09: `RateLimit-Policy` (section 3) with the quota `q`,
    its window `w` and the partition key `pk`, `RateLimit` (section 4) with what is left, `r`, and when that is whole
    again, `t`. Where something is refused that is the time of `Retry-After` (section 5).
    """

    def __init__(self, name: str, table: RateLimitTable) -> None:
        self.name = name
        self.table = table
        self.asks_who = asks_who(table.by)
        self.is_personal = is_personal(table.by)
        self.key = key_of(table.by)
        self.buckets = TokenBuckets(table.per_second, table.burst)
        self.waiting = 0
        self._is_one = kinds_of(table.by) == ("everybody",)
        self._free = table.undelayed * self.buckets.interval  # so far ahead of the rate nothing is delayed
        self._policy = b'"%b";q=%d;w=%d' % (name.encode(), table.burst + 1, table.window)
        self._name = b'"%b"' % name.encode()
        self._named = lru_cache(KNOWN)(self._fixed)

    def delay(self, found: Withdrawal) -> float:
        """For how many seconds a request that may go on waits for its turn."""
        return max(0.0, found.ahead - self._free)

    def turn(self, wait: float) -> asyncio.Future[None]:
        """What a request awaits for so many seconds; it counts as waiting until then, or until nobody awaits it."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self.waiting += 1
        timer = loop.call_later(wait, _come, turn)
        turn.add_done_callback(partial(self._turned, timer))
        return turn

    def fields(self, key: str, found: Withdrawal, *, taken: bool) -> list[Field]:
        """How the limit stands for a key, after a request that took of it or one that did not."""
        if taken:
            left, until = found.left, found.reset
        elif found.allowed:
            left, until = found.left + 1, found.ahead
        else:
            left, until = 0, found.wait
        policy, part = self._named(key)
        return [policy, (b"ratelimit", b"%b;r=%d;t=%d%b" % (self._name, left, ceil(until), part))]

    def _fixed(self, key: str) -> tuple[Field, bytes]:
        """What of the fields of a key stays as it is."""
        part = b"" if self._is_one else b";pk=:%b:" % partition(key)
        return (b"ratelimit-policy", self._policy + part), part

    def _turned(self, timer: asyncio.TimerHandle, turn: asyncio.Future[None]) -> None:  # noqa: ARG002 - asyncio's
        timer.cancel()
        self.waiting -= 1


def partition(key: str) -> bytes:
    """A key in base64 as others may see it: of who is counted nothing can be read, and it is the same everywhere."""
    return b64encode(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=6).digest())


def _come(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
