"""Requests as the tests ask a gatekeeper about them, without a server."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from meristem.errors import ConfigurationError
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayRouteTable, GatewayTable
from meristem.system.placement import Placement
from meristem.transports.http.edge_policy import Pending
from meristem.transports.http.request import Request
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.gateway.policy.limit_tables import RateLimitTable


class Clock:
    """A steady clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def why_refused(folder: Path, sound: str, before: str, after: str) -> str:
    """What a placement is refused with that is `sound` but for one thing."""
    file = folder / "one.toml"
    file.write_text(sound)
    assert Placement.read(file).gateway is not None
    assert before in sound
    file.write_text(sound.replace(before, after))
    with pytest.raises(ConfigurationError) as raised:
        Placement.read(file)
    return str(raised.value)


def request(
    client: str = "192.0.2.1", path: str = "/x", method: str = "GET", query: bytes = b"", **head: str
) -> Request:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in head.items()]
    raw = b"".join((f"{method} {path} HTTP/1.1\r\n".encode(), *itertools.chain(*fields), b"\r\n"))
    return Request(method, path.encode(), query, "1.1", fields, dict(fields), raw, client)


async def verdict(gatekeeper: Gatekeeper, asked: Request) -> Any:
    found = gatekeeper.check(asked)
    return await found.verdict if isinstance(found, Pending) else found


async def statuses(gatekeeper: Gatekeeper, *asked: Request) -> list[int]:
    """200 for those who are let in."""
    found = [await verdict(gatekeeper, each) for each in asked]
    return [each.status if isinstance(each, Response) else 200 for each in found]


def limits(**named: RateLimitTable) -> GatewayTable:
    return GatewayTable(dict(named), routes={"all": GatewayRouteTable(limits=tuple(named))})
