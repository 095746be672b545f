"""What stalls below a call keeps nobody waiting beyond the deadline, wherever it runs."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from systems.stalling import Ledger

from meristem import CallError, Code

SYSTEM = "systems.stalling:system"
SLACK = 2.0  # seconds: far less than what stalls, and enough for a busy machine
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def locked(app) -> AsyncIterator[Ledger]:
    ledger = app.client(Ledger)
    await ledger.lock()
    yield ledger
    await ledger.unlock()


@pytest.mark.parametrize("method", ["add", "add_in_a_unit"])
async def test_a_locked_database_is_told_at_the_deadline_and_nothing_happens_later(locked, method: str):
    before, began = await locked.total(), time.monotonic()

    with pytest.raises(CallError) as caught:
        await getattr(locked, method)()

    assert time.monotonic() - began < 0.5 + SLACK
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == f"Ledger.{method} did not answer within its timeout of 0.5 s"
    await locked.unlock()
    await locked.add_patiently()
    assert await locked.total() == before + 1


async def test_a_lock_that_outlasts_the_databases_patience_is_unavailable(locked):
    with pytest.raises(CallError) as caught:
        await locked.add_patiently()

    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.message.startswith("Ledger.add_patiently failed; the log says why")
