"""Deadlines: who is cancelled, when, and what the error says."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from time import monotonic
from typing import Any

import pytest

from meristem.context import Context
from meristem.contracts.call import Call, Handler
from meristem.contracts.operation import Declaration, Operation
from meristem.errors import CallError, Code
from meristem.resilience.deadline import deadline_middleware, exceeded
from meristem.resilience.timers import GRAIN, Deadlines
from meristem.variables import is_cancelled
from tests.suites.operations import an_operation


def limited(timeout: float | None = 5.0, *, stream: bool = False, idle: float | None = None) -> Operation:
    return an_operation(Declaration(timeout=timeout, idle=idle), stream=stream)


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    made = Deadlines(asyncio.get_running_loop())
    yield made
    made.stop()


async def answers(call: Call) -> Any:
    return call.context.deadline


async def hangs(_: Call) -> Any:
    await asyncio.Event().wait()


def a_call(deadline: float | None = None) -> Call:
    return Call(limited(), None, Context(deadline=deadline))


def guarded(deadlines: Deadlines, handler: Handler, timeout: float = 5.0) -> Handler:
    return deadline_middleware(deadlines, limited(timeout))(handler)


async def test_a_call_gets_the_operations_timeout_as_its_deadline(deadlines):
    before = monotonic()
    deadline = await guarded(deadlines, answers, 2.0)(a_call())
    assert before + 2.0 <= deadline <= monotonic() + 2.0


async def test_the_callers_earlier_deadline_wins(deadlines):
    inherited = monotonic() + 60
    assert await guarded(deadlines, answers, 600.0)(a_call(inherited)) == inherited


async def test_the_operations_earlier_timeout_wins(deadlines):
    inherited = monotonic() + 60
    assert await guarded(deadlines, answers)(a_call(inherited)) < inherited


async def test_a_call_that_takes_too_long_is_cancelled_not_before_its_deadline_and_soon_after(deadlines):
    loop, cancelled = asyncio.get_running_loop(), []
    task = asyncio.create_task(guarded(deadlines, hangs, 0.1)(a_call()))

    def look() -> None:
        cancelled.append(task.done() or task.cancelling() > 0)

    for seconds in (0.09, 0.1 + GRAIN + 0.02):  # timers ring in their order, however late a stall lets them ring
        loop.call_later(seconds, look)
    with pytest.raises(CallError) as caught:
        await task
    while len(cancelled) < 2:
        await asyncio.sleep(0.01)
    assert cancelled == [False, True]
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.may_have_happened
    assert caught.value.message == "Bank.debit did not answer within its timeout of 0.1 s"


async def test_the_error_says_when_the_callers_deadline_was_the_limit(deadlines):
    with pytest.raises(CallError, match=r"Bank.debit did not answer within the 0.\d+ s that its caller had left"):
        await guarded(deadlines, hangs)(a_call(monotonic() + 0.3))


async def test_a_call_that_begins_too_late_never_reaches_the_handler(deadlines):
    reached = []

    async def handler(call: Call) -> None:
        reached.append(call)

    with pytest.raises(CallError, match="had passed") as caught:
        await guarded(deadlines, handler)(a_call(monotonic() - 1))
    assert not caught.value.may_have_happened
    assert reached == []


async def test_the_task_goes_on_unharmed_after_a_deadline(deadlines):
    with pytest.raises(CallError):
        await guarded(deadlines, hangs, 0.02)(a_call())
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_elsewhere_stays_a_cancellation(deadlines):
    task = asyncio.create_task(guarded(deadlines, hangs)(a_call()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_comes_together_with_the_deadline_is_not_swallowed(deadlines):
    """A caller that gave up must not see its task go on because a deadline passed in the same moment."""

    async def cancelled_twice(_: Call) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            task.cancel()

    task = asyncio.create_task(guarded(deadlines, cancelled_twice, 0.02)(a_call()))
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("then", ["answers", "fails", "waits", "hides it again"])
async def test_what_hides_its_cancellation_is_late_all_the_same(deadlines, then, caplog):
    ended = asyncio.Event()

    async def deaf(_: Call) -> str:
        for _ in range(3):
            try:
                await asyncio.sleep(0.5 if then == "hides it again" else 30)
            except asyncio.CancelledError:
                if then == "fails":
                    raise ValueError from None
                if then == "answers":
                    break
                await asyncio.sleep(0.05)
        ended.set()
        return "stale"

    task = asyncio.create_task(guarded(deadlines, deaf, 0.02)(a_call()))
    with pytest.raises(CallError) as caught:
        await task

    assert ended.is_set() == (then == "answers")  # told before the method ends: timers ring in their order
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert task.cancelling() == 0
    left = [each for each in asyncio.all_tasks() if each.get_name() == "overdue: Bank.debit"]
    assert len(left) == ("goes on after its deadline" in caplog.text) == (then in {"waits", "hides it again"})
    if then == "hides it again":
        await asyncio.wait_for(ended.wait(), 20)
    for each in left:
        each.cancel()


async def test_what_goes_on_after_its_deadline_still_knows_that_it_was_cancelled(deadlines):
    """Or a commit whose end is waited for would be told as an error of the method."""
    goes_on, knows = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def tidies_up(_: Call) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            await goes_on.wait()
            knows.set_result(is_cancelled(error))
            raise

    with pytest.raises(CallError):
        await guarded(deadlines, tidies_up, 0.02)(a_call())
    goes_on.set()

    assert await asyncio.wait_for(knows, 20)


async def test_a_call_made_while_being_cancelled_has_its_own_deadline(deadlines):
    """Clean-up code of a cancelled task still gets a DEADLINE_EXCEEDED, as asyncio.Timeout has it."""

    async def cleans_up() -> Code:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(CallError) as caught:
                await guarded(deadlines, hangs, 0.02)(a_call())
            return caught.value.code
        raise AssertionError

    task = asyncio.create_task(cleans_up())
    await asyncio.sleep(0)
    task.cancel()
    assert await task is Code.DEADLINE_EXCEEDED


async def test_an_asyncio_timeout_inside_and_outside_keeps_its_own_meaning(deadlines):
    async def inner(_: Call) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await guarded(deadlines, inner)(a_call())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await guarded(deadlines, hangs)(a_call())


async def test_nested_calls_fail_where_the_limit_was_set(deadlines):
    """The inner call inherits 0.3 s: it is the outer one, whose limit that is, that reports it."""
    inner = guarded(deadlines, hangs, 5.0)
    with pytest.raises(CallError, match=r"within its timeout of 0\.3 s"):
        await guarded(deadlines, inner, 0.3)(a_call())


async def test_a_shorter_inner_timeout_leaves_the_outer_call_alive(deadlines):
    inner = guarded(deadlines, hangs, 0.02)

    async def copes(call: Call) -> str:
        with pytest.raises(CallError):
            await inner(Call(call.operation, None, Context(deadline=call.context.deadline)))
        return "coped"

    assert await guarded(deadlines, copes, 5.0)(a_call()) == "coped"


async def test_an_inherited_deadline_holds_in_a_task_of_its_own(deadlines):
    """A task that was started and not awaited is watched too, though its parent's deadline is another task's."""
    inner = guarded(deadlines, hangs, 5.0)
    started: list[asyncio.Task[Any]] = []

    async def forgets(call: Call) -> None:
        nested = Call(call.operation, None, Context(deadline=call.context.deadline))
        started.append(asyncio.create_task(inner(nested)))

    await guarded(deadlines, forgets, 0.03)(a_call())
    with pytest.raises(CallError) as caught:
        await started[0]
    assert caught.value.code is Code.DEADLINE_EXCEEDED


async def test_work_within_a_time_of_its_own_is_given_back_or_cancelled(deadlines):
    async def gives() -> int:
        return 7

    def late() -> TimeoutError:
        return TimeoutError("too slow")

    assert await deadlines.within(monotonic() + 5.0, gives(), late) == 7
    with pytest.raises(TimeoutError, match="too slow"):
        await deadlines.within(monotonic() + 0.02, asyncio.Event().wait(), late)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_work_that_is_cancelled_by_others_or_fails_by_itself_is_not_late(deadlines):
    async def fails() -> None:
        raise LookupError

    def late() -> TimeoutError:
        return TimeoutError("too slow")

    with pytest.raises(LookupError):
        await deadlines.within(monotonic() + 5.0, fails(), late)
    task = asyncio.create_task(deadlines.within(monotonic() + 5.0, asyncio.Event().wait(), late))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_thousands_of_calls_share_one_timer_and_leave_nothing(deadlines):
    handlers = [guarded(deadlines, hangs if n % 2 else answers, 0.05 + n / 20_000) for n in range(2_000)]
    results = await asyncio.gather(*(handler(a_call()) for handler in handlers), return_exceptions=True)
    assert sum(isinstance(result, CallError) for result in results) == 1_000
    assert sum(isinstance(result, float) for result in results) == 1_000
    assert not any(deadlines._buckets.values())


async def test_empty_buckets_do_not_pile_up(deadlines):
    for second in range(20_000):
        bucket = deadlines.bucket(monotonic() + second)
        task = asyncio.current_task()
        assert task is not None
        bucket.enter(task)
        bucket.leave(task)
    assert len(deadlines._buckets) <= 1024


async def test_a_bucket_that_operations_still_hold_is_not_cleared_away(deadlines):
    answered = []

    async def answers_once(call: Call) -> None:
        if answered:
            await hangs(call)
        answered.append(call)

    guard = guarded(deadlines, answers_once, 0.06)
    await guard(a_call())
    deadlines._clear()
    with pytest.raises(CallError):
        await asyncio.wait_for(guard(a_call()), 30)


class Ticks:
    def __init__(self, pauses: list[float]) -> None:
        self.closed = False
        self._pauses: Iterator[float] = iter(pauses)

    def __aiter__(self) -> "Ticks":
        return self

    async def __anext__(self) -> float:
        for pause in self._pauses:
            await asyncio.sleep(pause)
            return pause
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


def a_stream(deadlines: Deadlines, ticks: Ticks, timeout: float | None, idle: float | None = None) -> Handler:
    async def handler(_: Call) -> Ticks:
        return ticks

    return deadline_middleware(deadlines, limited(timeout, stream=True, idle=idle))(handler)


async def test_a_stream_within_its_deadline_is_complete(deadlines):
    stream = await a_stream(deadlines, Ticks([0, 0, 0]), 5.0)(a_call())
    assert [item async for item in stream] == [0, 0, 0]


async def test_the_deadline_covers_the_whole_stream(deadlines):
    stream = await a_stream(deadlines, Ticks([0, 60]), 0.3)(a_call())
    assert await anext(stream) == 0
    with pytest.raises(CallError, match=r"within its timeout of 0\.3 s"):
        await anext(stream)


async def test_a_stream_that_falls_silent_ends_before_its_deadline(deadlines):
    stream = await a_stream(deadlines, Ticks([0, 60]), 5.0, idle=0.03)(a_call())
    assert await anext(stream) == 0
    with pytest.raises(CallError, match=r"Bank\.debit sent nothing for 0\.03 s, its idle limit"):
        await anext(stream)


async def test_a_stream_that_never_begins_is_silent(deadlines):
    handler = deadline_middleware(deadlines, limited(None, stream=True, idle=0.03))(hangs)
    with pytest.raises(CallError, match="sent nothing"):
        await handler(a_call())


async def test_a_stream_without_a_timeout_has_no_deadline_but_that_of_its_caller(deadlines):
    lasting, bounded = a_call(), a_call(monotonic() + 9)
    given = bounded.context.deadline
    handler = a_stream(deadlines, Ticks([0]), None)
    await handler(lasting)
    await handler(bounded)

    assert (lasting.context.deadline, bounded.context.deadline) == (None, given)


async def test_a_stream_after_its_caller_s_deadline_is_not_begun(deadlines):
    with pytest.raises(CallError, match="had passed") as caught:
        await a_stream(deadlines, Ticks([0]), None)(a_call(monotonic() - 1))
    assert not caught.value.may_have_happened


async def test_a_consumer_that_is_too_slow_is_told_at_its_next_item_and_the_source_is_closed(deadlines):
    ticks = Ticks([0, 0])
    stream = await a_stream(deadlines, ticks, 0.2)(a_call())
    await anext(stream)
    await asyncio.sleep(0.25)
    with pytest.raises(CallError):
        await anext(stream)
    assert ticks.closed


async def test_a_stream_read_while_being_cancelled_has_its_own_deadline(deadlines):
    stream = await a_stream(deadlines, Ticks([60]), 0.03)(a_call())

    async def cleans_up() -> Code:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(CallError) as caught:
                await anext(stream)
            return caught.value.code
        raise AssertionError

    task = asyncio.create_task(cleans_up())
    await asyncio.sleep(0)
    task.cancel()
    assert await task is Code.DEADLINE_EXCEEDED


def test_a_limit_that_lost_a_moment_on_the_way_is_still_the_operation_s_own():
    """Caller and server watch the same limit; whichever is first, the caller reads the same words."""
    own = str(exceeded("Bank.debit", 0.4, deadline=10.398, started=10.0))
    shorter = str(exceeded("Bank.debit", 0.4, deadline=10.2, started=10.0))

    assert "did not answer within its timeout of 0.4 s" in own
    assert "0.200 s that its caller had left (its own timeout is 0.4 s)" in shorter
