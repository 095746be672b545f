"""The `[gateway.routes]` of a placement: which requests a route is for, and what holds for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from meristem.contracts.bounds import ByteCount
from meristem.gateway.policy.header_table import CorsTable, HeaderTable
from meristem.gateway.policy.host_names import HostPattern
from meristem.gateway.policy.identity_tables import Require, Word
from meristem.quantities import TimeText

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Name: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_-]*$(?!\n)", description="small letters, digits, - and _")
]
PathPattern: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^/[^*?#%;\\\s]*\*?$(?!\n)",
        description="a path from its first slash on, without escapes; * at its end stands for any rest",
    ),
]
MethodName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z]+$(?!\n)", description="a method in capitals, such as GET")]
OperationName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z_][\w.]*(?:/\*)?$(?!\n)",
        description="an operation, shop.v1.Payments.charge, or all of a contract, shop.v1.Payments/*",
    ),
]
RedirectTarget: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?:https?://[^/?#\s@]+)?(?:/[^/?#\s][^?#\s]*|/)?$(?!\n)",
        description="an address such as https://www.shop.example, or a path; without query",
    ),
]
Retries: TypeAlias = Annotated[int, Meta(ge=0, le=5, description="0 to 5")]
EVERY_PATH: Final = "/*"


class RedirectTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to a browser is sent: the path and the query of its request are put behind, unless they are not kept."""

    to: RedirectTarget
    status: Literal[301, 302, 307, 308] = 308
    keep_path: bool = True
    keep_query: bool = True


class GatewayRouteTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for the requests of some paths, or of some parts of the system, with these methods at these hosts.

    Of several routes that fit the one with the longest path counts, then the one with the closest host, then one that
    names the method. Who sends a request is found out where it is `require`d, and has to have one of the `roles` and
    all of the `scopes`.
    """

    path: PathPattern | None = None
    limits: tuple[Name, ...] = ()
    app: str | None = None
    operations: tuple[OperationName, ...] = ()
    hosts: tuple[HostPattern, ...] = ()
    methods: tuple[MethodName, ...] = ()
    redirect: RedirectTarget | RedirectTable | None = None
    require: Require | None = None
    roles: tuple[str, ...] = ()
    scopes: tuple[Word, ...] = ()
    headers: HeaderTable = HeaderTable()
    request_headers: HeaderTable = HeaderTable()
    cors: CorsTable | None = None
    body_bytes: ByteCount | None = None
    timeout: TimeText | None = None
    compression: bool = True
    retries: Retries = 0
    concurrency: tuple[Name, ...] = ()

    def problem(self) -> str | None:
        """What of it excludes itself; None for a sound one."""
        if self.path is not None and (self.app is not None or self.operations):
            return "path: an app or operations have their own paths; leave it out, or them"
        if self.path is not None and ("//" in self.path or {".", ".."} & {*self.path.split("/")}):
            return f"path = {self.path!r}: write it without empty segments, . and .."
        redirect = self.redirection
        if redirect is not None and redirect.to.startswith("/") and redirect.keep_path:
            return "redirect: of a path to a path nothing is kept; say keep_path = false"
        return None

    def inner_problems(self) -> Iterator[tuple[str, str | None]]:
        """What is wrong with its tables, by name."""
        yield "headers", self.headers.problem()
        yield "request_headers", self.request_headers.problem()
        yield "cors", None if self.cors is None else self.cors.problem()

    @property
    def redirection(self) -> RedirectTable | None:
        """The redirect with all that it says."""
        return RedirectTable(self.redirect) if isinstance(self.redirect, str) else self.redirect


def colliding(routes: Mapping[str, GatewayRouteTable]) -> str | None:
    """Two routes for the same requests, as far as that can be told without the system; None where there are none."""
    seen: dict[object, str] = {}
    for name, each in routes.items():
        if each.app is not None or each.operations:
            continue
        for host in each.hosts or (None,):
            for method in each.methods or (None,):
                key = (each.path or EVERY_PATH, host and host.lower(), method)
                if (other := seen.setdefault(key, name)) != name:
                    return collision(name, other)
    return None


def collision(name: str, other: str) -> str:
    """What is said of two routes for the same requests."""
    return (
        f"[gateway.routes.{name}]: path: [gateway.routes.{other}] is for the same requests; put what holds there into "
        "one, or tell them apart by hosts or methods"
    )
