"""The `[gateway]` table of a placement: what stands between the internet and the services."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from meristem.contracts.bounds import Room
from meristem.gateway.policy.quantities import RateText, rate_of

By: TypeAlias = Literal["address", "everybody"]
Status: TypeAlias = Literal[429, 503]
PathPattern: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^/[^*?#\s]*\*?$(?!\n)", description="a path from its first slash on; * at its end stands for any rest"
    ),
]
Name: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_-]*$(?!\n)", description="small letters, digits, - and _")
]
EVERY_PATH: Final = "/*"


class RateLimitTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `rate` requests, and `burst` more at once; what is beyond is refused with `status`.

    With `delay` what is above the rate, up to `burst`, is not served at once but in its turn, so that what stands
    behind the gateway sees no more than the rate. Each address, or whatever it is counted `by`, has its own.
    """

    rate: RateText
    burst: Room = 0
    delay: bool = False
    by: By = "address"
    status: Status = 429


class GatewayRouteTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for the requests of some paths. Of several routes the one with the longest path counts."""

    path: PathPattern = EVERY_PATH
    limits: tuple[Name, ...] = ()


class GatewayTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits by name, and the routes that name them. What no route fits is served as without a gateway."""

    limits: dict[Name, RateLimitTable] = {}
    routes: dict[Name, GatewayRouteTable] = {}

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound table."""
        for name, limit in self.limits.items():
            try:
                rate_of(limit.rate)
            except ValueError as error:
                return f"[gateway.limits.{name}]: rate: {error}"
        for name, route in self.routes.items():
            if strange := next((each for each in route.limits if each not in self.limits), None):
                known = ", ".join(self.limits) or "none"
                return f"[gateway.routes.{name}]: limits: there is no [gateway.limits.{strange}]; known are {known}"
        paths = [each.path for each in self.routes.values()]
        if twice := next((name for name, each in self.routes.items() if paths.count(each.path) > 1), None):
            return f"[gateway.routes.{twice}]: path: another route has the same one; put what holds there into one"
        return None
