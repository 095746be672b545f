"""The site with every service in a process of its own, which a test may kill, freeze and renew one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from sites import ARRIVAL, PATIENCE, Site
from supervised_system import Supervised

SPLIT = Path(__file__).parents[1] / "placements" / "split.toml"


class SplitSite(Supervised, Site):
    """The site in nine processes."""

    name = "hotels"

    def __init__(self, home: Path, **environment: str) -> None:
        super().__init__(home, placement=for_a_crowd(home), **environment)


def for_a_crowd(home: Path) -> Path:
    """The split placement with a rate of searches that nobody reaches from one address, however fast the machine is."""
    before, rate, after = SPLIT.read_text().partition('rate = "500/s"')
    assert rate, f"{SPLIT} has another rate of searches"
    placement = home / SPLIT.name
    placement.write_text(f'{before}rate = "100000/s"{after}')
    return placement


class Crowd:
    """Guests who search without a pause, `size` at a time; `outcomes` holds a status or an error for each search."""

    def __init__(self, site: Site, size: int) -> None:
        self.outcomes: list[str] = []
        self._site = site
        self._size = size
        self._over = asyncio.Event()

    async def has_searched(self, times: int) -> None:
        """Return when so many searches have been answered."""
        async with asyncio.timeout(PATIENCE):
            while len(self.outcomes) < times:
                await asyncio.sleep(0.01)

    async def search_until(self, end: Callable[[], bool]) -> list[str]:
        """Search until the end is reached, and return the outcomes when the last search has been answered."""
        limits = httpx.Limits(max_connections=self._size, max_keepalive_connections=self._size)
        async with httpx.AsyncClient(base_url=self._site.address, timeout=PATIENCE, limits=limits) as client:
            guests = [asyncio.create_task(self._search(client)) for _ in range(self._size)]
            try:
                async with asyncio.timeout(3 * PATIENCE):
                    while not await asyncio.to_thread(end):
                        await asyncio.sleep(0.02)
            finally:
                self._over.set()
                await asyncio.gather(*guests)
        return self.outcomes

    async def _search(self, client: httpx.AsyncClient) -> None:
        while not self._over.is_set():
            self.outcomes.append(await search(client))


async def unharmed(trial: Callable[[], Awaitable[list[str]]]) -> None:
    """Assert that every search of a trial succeeds; three trials in which some are late are not the machine's fault.

    Late is 504, the two seconds of a search, and 408, the one that a process which ends gives whoever has connected.
    """
    for _ in range(3):
        failures = {*await trial()} - {"200"}
        if not failures or not all(each.startswith(("408", "504")) for each in failures):
            break
    assert failures == set()


async def search(client: httpx.AsyncClient) -> str:
    """One search: its status, or what went wrong."""
    query: dict[str, Any] = {"city": "Lisbon", "arrival": ARRIVAL.isoformat(), "limit": 5}
    try:
        answer = await client.get("/api/hotels", params=query)
    except httpx.TransportError as error:
        return repr(error)
    return "200" if answer.status_code == 200 else f"{answer.status_code} {answer.text}"
