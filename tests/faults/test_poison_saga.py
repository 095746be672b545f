"""A saga that ends its process each time is parked after five ends, and all others come to their end once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from meristem import CallError, connect
from meristem.sagas.crash_loops import DEADLY
from tests.faults.poison_house import Restarted, database_of
from tests.faults.poison_saga_system import BETWEEN, IN_A_STEP, Walks
from tests.faults.takeover_house import PATIENCE, until
from tests.suites.sampled import sampled

INNOCENT: Final = [1, 2, 3, 501, 502, 503]

T = TypeVar("T")


class Walkers(Restarted):
    """Replicas in which sagas walk."""

    async def asked(self, ask: Callable[[Walks], Awaitable[T]]) -> T | None:
        """What the first replica that is there answers."""
        for address in self.addresses:
            with suppress(CallError):
                async with connect(address, service="test", secret=self.secret) as system:
                    return await ask(system.client(Walks))
        return None

    async def walked(self) -> list[str]:
        return await self.asked(lambda walks: walks.walked()) or []

    async def is_at_rest(self) -> bool:
        """Whether a replica is there, and no saga goes on."""
        return await self.asked(lambda walks: walks.going()) == 0

    async def in_state(self, state: str) -> list[dict[str, Any]]:
        found = json.loads(await self.command("sagas", "list", "--state", state, *self.system, "--json"))
        return [each for of_service in found.values() for each in of_service]


@pytest.mark.timeout(6 * PATIENCE)
@pytest.mark.parametrize(
    ("kind", "replicas", "poisons"),
    sampled(
        [("sqlite", 1, [IN_A_STEP]), ("sqlite", 1, [BETWEEN]), ("postgresql", 2, [IN_A_STEP, BETWEEN])],
        2,
        "poisoned sagas",
    ),
)
async def test_a_poisoned_saga_is_parked_and_all_others_end_once(
    tmp_path: Path, kind: str, replicas: int, poisons: list[int]
):
    async with database_of(kind) as database:
        walkers = Walkers(tmp_path, "poison_saga_system.py", database)
        try:
            for replica in range(replicas):
                walkers.start(replica)
            await until(walkers.is_at_rest)
            with suppress(CallError):  # the first end may come before the answer
                async with connect(walkers.addresses[0], service="test", secret=walkers.secret) as system:
                    await system.client(Walks).begin([*INNOCENT, *poisons])
            await until(walkers.is_at_rest, 5 * PATIENCE)
            ends, walked = walkers.ends, await walkers.walked()
            parked = await walkers.in_state("parked")
            if poisons == [IN_A_STEP]:
                await walkers.command("sagas", "cancel", parked[0]["id"], "--system", *walkers.system)

                async def is_undone() -> bool:
                    return f"not first {IN_A_STEP}" in await walkers.walked()

                await until(is_undone)
                assert walkers.ends == ends  # the step was not run again
        finally:
            await walkers.stop()
    whole = [f"{part} {number}" for number in INNOCENT for part in ("first", "went", "last")]
    assert Counter(walked) == Counter(whole + [f"first {each}" for each in poisons])
    assert all(f"ended {DEADLY} times while it was worked on" in each["problem"] for each in parked)
    assert ends <= 1 + DEADLY * len(poisons)
