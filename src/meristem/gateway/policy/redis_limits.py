"""Limits that replicas count together in Redis, by a script that runs there as one: the same cell rate algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from meristem.errors import ConfigurationError
from meristem.gateway.policy.shared_limits import PATIENCE, StoreAwayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.gateway.policy.rate_limit import RateLimit

CONNECTIONS: Final = 8
TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ahead, told, open = {}, {}, true
for i, key in ipairs(KEYS) do
  local due = tonumber(redis.call('GET', key) or '0')
  ahead[i] = math.max(0, due - now)
  if ahead[i] > tonumber(ARGV[3 * i - 1]) + tonumber(ARGV[3 * i - 2]) + 1 then ahead[i] = 0 end
  told[i] = string.format('%.3f', ahead[i])
  if ahead[i] > tonumber(ARGV[3 * i - 1]) and ARGV[3 * i] == '0' then open = false end
end
for i, key in ipairs(KEYS) do
  if open and ahead[i] <= tonumber(ARGV[3 * i - 1]) then
    local owed = ahead[i] + tonumber(ARGV[3 * i - 2])
    redis.call('SET', key, string.format('%.3f', now + owed), 'PX', math.ceil(owed / 1000) + 1)
  end
end
return told
"""
"""Of each key: its interval and tolerance in microseconds, and whether it runs dry; gives how far each was ahead.

Farther than a whole burst and one more no key can get: it was counted by other numbers, before the table was changed,
or by a clock that has gone back. As a limit in memory then does, it begins anew.
"""

GIVE_BACK: Final = """
local due = redis.call('GET', KEYS[1])
if due then redis.call('SET', KEYS[1], string.format('%.3f', due - ARGV[1]), 'KEEPTTL') end
"""
MICROSECONDS: Final = 1e6


def open_limits(url: str, *, system: str) -> RedisLimits:
    """The store of `redis://user:password@host:6379/0`, or `rediss://` by TLS. Needs Redis 6."""
    try:
        # A few connections, for which others wait: what is slow is found so by who waits, too.
        pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=PATIENCE,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
            client_name=f"meristem-{system}",
        )
    except ValueError as error:
        raise ConfigurationError(f"the limit store's address can't be read: {error}") from None
    return RedisLimits(Redis(connection_pool=pool), system)


class RedisLimits:
    """Counts by the clock of Redis, so those of replicas need not agree; a key vanishes when it has had its rest.

    All keys of a system have one hash tag, so a cluster keeps them in one place.
    """

    def __init__(self, client: Redis, system: str) -> None:
        self._client = client
        self._system = system
        self._take = client.register_script(TAKE)
        self._give_back = client.register_script(GIVE_BACK)

    async def take(self, limits: Sequence[RateLimit], keys: Sequence[str]) -> Sequence[float]:
        arguments: list[str] = []
        for each in limits:
            tolerance = each.buckets.tolerance * MICROSECONDS + 0.001
            arguments += (f"{each.buckets.interval * MICROSECONDS:.6f}", f"{tolerance:.6f}")
            arguments.append("1" if each.table.dry_run else "0")
        names = [self._name(each, key) for each, key in zip(limits, keys, strict=True)]
        try:
            told: Any = await self._take(keys=names, args=arguments)
        except (RedisError, OSError) as error:
            raise StoreAwayError(f"{type(error).__name__}: {error}") from error
        return [float(each) / MICROSECONDS for each in told]

    async def give_back(self, limit: RateLimit, key: str) -> None:
        try:
            interval = f"{limit.buckets.interval * MICROSECONDS:.6f}"
            await self._give_back(keys=[self._name(limit, key)], args=[interval])
        except (RedisError, OSError) as error:
            raise StoreAwayError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    def _name(self, limit: RateLimit, key: str) -> str:
        return f"meristem:{{{self._system}}}:limit:{limit.name}:{key}"
