"""Tells the other processes which subscribers are here: what waits for them there need not wait longer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

from meristem.contracts.contract import operations
from meristem.errors import CallError
from meristem.runtime.deliveries import Deliveries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.runtime.clients import Clients
    from meristem.runtime.dependency import Dependency, RemoteReplica

logger = logging.getLogger(__name__)


async def announce(here: list[str], dependencies: Iterable[Dependency], clients: Clients) -> None:
    """Tell every process in which one of the dependencies lives, once."""
    found = [each for dependency in dependencies for each in dependency.replicas]
    by_address = {each.address: each for each in found}
    await asyncio.gather(*(_announce_to(each, here, clients) for each in by_address.values()))


async def _announce_to(replica: RemoteReplica, here: list[str], clients: Clients) -> None:
    known, contract = operations(Deliveries), cast("type[Any]", Deliveries)
    ways = {name: clients.limited(each, replica.client.call) for name, each in known.items()}
    try:
        await clients.over(contract, ways.__getitem__, None).announce(here)
    except CallError as error:  # it starts later than this one, or finds out by itself in a few seconds
        logger.debug("%s was not told that %s are here: %s", replica.address, ", ".join(here), error)
