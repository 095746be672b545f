"""What stalls below a call keeps nobody waiting beyond the deadline, wherever it runs."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from placed import APART
from systems.stalling import Back, Deaf, Front, Ledger

from meristem import CallError, Code

SYSTEM = "systems.stalling:system"
OPTIONS = {"database": "sqlite://?busy_timeout=2"}
PATIENCE = 8.0  # seconds: less than what stalls, and far more than each deadline
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def locked(app) -> AsyncIterator[Ledger]:
    ledger = app.client(Ledger)
    await ledger.lock()
    yield ledger
    await ledger.unlock()


@pytest_asyncio.fixture(loop_scope="module")
async def deaf(app) -> AsyncIterator[Deaf]:
    """What it does not end at its deadline goes on until the test is over."""
    yield app.client(Deaf)
    await app.client(Deaf).let_go()


@pytest.mark.sqlite
@pytest.mark.parametrize("method", ["add", "add_in_a_unit"])
async def test_a_locked_database_is_told_at_the_deadline_and_nothing_happens_later(locked, method: str):
    before = await locked.total()

    with pytest.raises(CallError) as caught:
        async with asyncio.timeout(PATIENCE):
            await getattr(locked, method)()

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == f"Ledger.{method} did not answer within its timeout of 0.5 s"
    await locked.unlock()
    await locked.add_patiently()
    assert await locked.total() == before + 1


@pytest.mark.sqlite
async def test_a_lock_that_outlasts_the_databases_patience_is_unavailable(locked):
    with pytest.raises(CallError) as caught:
        await locked.add_patiently()

    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.message.startswith("Ledger.add_patiently failed: its database is locked; the log says more")


@pytest.mark.parametrize("method", ["swallow", "swallow_again_and_again", "raise_another", "clean_up_slowly"])
async def test_a_method_that_goes_on_after_its_deadline_keeps_nobody_waiting(deaf, method: str):
    with pytest.raises(CallError) as caught:
        async with asyncio.timeout(PATIENCE):
            await getattr(deaf, method)()

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == f"Deaf.{method} did not answer within its timeout of 0.4 s"


@pytest.mark.parametrize("method", ["nap_after_another", "nap_below_another"])
async def test_a_call_ends_at_its_deadline_whatever_it_called_before_or_waits_for(app, method: str):
    with pytest.raises(CallError) as caught:
        async with asyncio.timeout(PATIENCE):
            await getattr(app.client(Front), method)()

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert "did not answer within" in caught.value.message
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await app.client(Back).nap(0.01)  # nothing of it is left to the next one


async def test_what_is_overdue_ends_its_clean_up(deaf):
    with pytest.raises(CallError):
        await deaf.clean_up_slowly()
    assert not await deaf.cleaned_up()
    await deaf.let_go()

    async with asyncio.timeout(20):
        while not await deaf.cleaned_up():
            await asyncio.sleep(0.05)


async def test_a_caller_from_outside_is_answered_at_the_deadline(app, where):
    """It has no deadline of its own, and nothing but the server ends its wait."""
    if where not in APART:
        pytest.skip("only processes have a public port")

    async with httpx.AsyncClient(base_url=app.address) as browser:
        answer = await browser.get("/api/swallow", timeout=PATIENCE)

    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
