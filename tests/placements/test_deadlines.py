"""A deadline shrinks from hop to hop, and whoever gives up ends the work below, wherever it runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count

import pytest
from systems.hops import Far, Mid, Near, Seen
from systems.witness import Witness

from meristem import CallError, Code, Context, using

SYSTEM = "systems.hops:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def late(work) -> CallError:
    with pytest.raises(CallError) as caught:
        await work
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    return caught.value


async def late_at_work(app, call: Callable[[str], Awaitable[object]], name: str) -> tuple[CallError, str]:
    """The error of a call that was late when its work had begun, and its name: on a slow machine it may never begin."""
    async with asyncio.timeout(60):
        for number in count():
            error = await late(call(f"{name} {number}"))
            if await app.client(Witness).count(f"{name} {number} began"):
                return error, f"{name} {number}"
    raise AssertionError


async def in_time(call: Callable[[], Awaitable[list[Seen]]]) -> list[Seen]:
    """The answer of a call that a slow machine may need to be asked more than once."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except CallError as error:
                if error.code is not Code.DEADLINE_EXCEEDED:
                    raise


async def test_a_call_ends_at_its_own_timeout_and_the_work_with_it(app):
    began = time.monotonic()
    error, name = await late_at_work(app, app.client(Far).impatient, "own")

    assert time.monotonic() - began >= 0.25
    assert error.message == "Far.impatient did not answer within its timeout of 0.3 s"
    assert error.may_have_happened
    assert await app.client(Witness).until(f"{name} cancelled") == 1


async def test_the_message_says_which_limit_fired_and_where(app):
    """The far operation's own limit fires, two hops away, and its message comes through."""
    error = await late(app.client(Mid).impatient("where"))

    assert error.message == "Far.impatient did not answer within its timeout of 0.3 s"


async def test_a_callers_limit_ends_the_work_two_hops_away(app):
    error, name = await late_at_work(app, app.client(Mid).short_hang, "short")

    assert error.message == "Mid.short_hang did not answer within its timeout of 0.5 s" or (
        error.message.startswith("Far.hang did not answer within the 0.") and "caller had left" in error.message
    )
    assert await app.client(Witness).until(f"{name} cancelled") == 1


async def test_a_deadline_shrinks_over_three_hops(app):
    began = time.monotonic()
    with using(Context(deadline=began + 9)):
        hops = await app.client(Near).seen()
    took = time.monotonic() - began
    left = [hop.remaining for hop in hops]

    assert 9 >= left[0] >= left[1] >= left[2] > 8.9 - took


async def test_without_a_deadline_from_outside_the_first_operation_sets_one(app):
    began = time.monotonic()
    left = [hop.remaining for hop in await app.client(Near).seen()]
    took = time.monotonic() - began

    assert 10 >= left[0] >= left[1] >= left[2] > 9.9 - took


async def test_a_longer_timeout_below_gives_no_more_time(app):
    left = [hop.remaining for hop in await in_time(app.client(Mid).short)]

    assert 0.5 >= left[0] >= left[1] > 0


async def test_a_call_after_its_deadline_is_not_made(app):
    with using(Context(deadline=time.monotonic() - 0.1)):
        error = await late(app.client(Far).hang("never"))

    assert not error.may_have_happened
    assert "had passed" in error.message
    assert await app.client(Witness).count("never began") == 0


async def test_a_method_may_have_a_limit_of_its_own_inside(app):
    assert await app.client(Far).swallow() == "its own limit"


async def give_up(app, work, name: str) -> None:
    task = asyncio.ensure_future(work)
    await app.client(Witness).until(f"{name} began")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_caller_that_gives_up_cancels_the_work(app):
    await give_up(app, app.client(Far).hang("one"), "one")

    assert await app.client(Witness).until("one cancelled") == 1


async def test_a_caller_that_gives_up_cancels_the_work_three_hops_away(app):
    await give_up(app, app.client(Near).hang("three"), "three")

    assert await app.client(Witness).until("three cancelled") == 1


async def test_a_caller_that_gives_up_cancels_a_running_statement(app):
    began = time.monotonic()
    await give_up(app, app.client(Near).query("sql"), "sql")

    assert await app.client(Witness).until("sql ended") == 1
    assert time.monotonic() - began < 50  # it would run for minutes, and the limits of the calls are 60 s


async def test_a_method_that_meets_a_cancellation_of_its_own_fails_and_its_caller_lives(app, caplog):
    with pytest.raises(CallError) as caught:
        await app.client(Far).own_cancellation()

    assert caught.value.code is Code.INTERNAL


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_call_before_the_first_statement_or_after_the_transaction_is_made(app, when):
    assert await app.client(Mid).in_transaction(when) == "fine"


@pytest.mark.parametrize("when", ["within", "stream"])
async def test_a_call_inside_an_open_transaction_is_refused_with_an_explanation(app, when, logged):
    with pytest.raises(CallError) as caught:
        await app.client(Mid).in_transaction(when)

    assert caught.value.code is Code.INTERNAL
    called = "Far.numbers" if when == "stream" else "Far.echo"
    assert f"{called} is called inside an open database transaction" in await logged("Mid.in_transaction failed")


async def test_200_calls_at_once_are_all_answered(app):
    far, mid = app.client(Far), app.client(Mid)
    answers = await asyncio.gather(*(far.echo(n) for n in range(200)), *(mid.total(3) for _ in range(50)))

    assert answers == [*range(200), *[3] * 50]
