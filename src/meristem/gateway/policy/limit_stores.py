"""The registry of stores that replicas share limits in: a URL's scheme, and what counts there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from meristem.adapters import Adapters

if TYPE_CHECKING:
    from meristem.gateway.policy.shared_limits import SharedCount


class OpenLimitStore(Protocol):
    """What a package brings under the entry point group `meristem.limit_stores`, named like its URLs' scheme."""

    def __call__(self, url: str, *, system: str) -> SharedCount:
        """A store that connects when it is first asked; what it keeps carries the name of `system`.

        Raises ConfigurationError for a URL that can't be meant.
        """
        ...


LIMIT_STORES: Final[Adapters[OpenLimitStore]] = Adapters(
    "limit store",
    "meristem.limit_stores",
    {
        "redis": "meristem.gateway.policy.redis_limits:open_limits [redis]",
        "rediss": "meristem.gateway.policy.redis_limits:open_limits [redis]",
    },
    example="redis://host:6379/0",
)
