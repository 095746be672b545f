"""A stream behaves the same, wherever its producer runs."""

import asyncio
import time
from contextlib import aclosing

import pytest
from cancelling import leave_in_the_midst
from systems.hops import Empty, Far, Mid
from systems.witness import Witness

from meristem import CallError, Code, Context, Identity, using

SYSTEM = "systems.hops:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_10000_items_arrive_in_order(app):
    assert [number async for number in app.client(Far).numbers(10_000)] == list(range(10_000))


async def test_a_stream_passes_through_a_service(app):
    assert [number async for number in app.client(Mid).numbers(100)] == list(range(0, 200, 2))
    assert await app.client(Mid).total(1000) == 499_500


async def test_an_empty_stream_ends_at_once(app):
    assert [number async for number in app.client(Far).numbers(0)] == []


async def test_one_who_leaves_early_ends_the_producer(app):
    async with aclosing(app.client(Far).endless("left")) as numbers:
        assert [await anext(numbers) for _ in range(3)] == [0, 1, 2]

    assert await app.client(Witness).until("left closed") == 1


async def test_one_who_leaves_early_ends_a_producer_two_hops_away(app):
    async with aclosing(app.client(Mid).endless("two")) as numbers:
        assert await anext(numbers) == 0

    assert await app.client(Witness).until("two closed") == 1


async def test_a_service_that_breaks_off_a_stream_ends_its_producer(app):
    assert await app.client(Mid).first("broken") == 0
    assert await app.client(Witness).until("broken closed") == 1


async def test_a_consumer_that_is_cancelled_ends_the_producer(app):
    await leave_in_the_midst(app.client(Far).endless("cancelled"))

    assert await app.client(Witness).until("cancelled closed") == 1


@pytest.mark.parametrize(("how", "code"), [("call error", Code.OUT_OF_RANGE), ("crash", Code.INTERNAL)])
@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_in_the_middle_arrives_after_the_items_before_it(app, how, code, after, caplog):
    arrived = []
    with pytest.raises(CallError) as caught:
        async for number in app.client(Far).breaking(after, how):
            arrived.append(number)  # noqa: PERF401 - what came before the error counts

    assert arrived == list(range(after))
    assert caught.value.code is code
    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None


async def test_a_declared_fault_in_the_middle_arrives_as_itself(app):
    with pytest.raises(Empty) as caught:
        async for _ in app.client(Far).faulty():
            pass

    assert caught.value.after == 1


async def test_a_deadline_holds_over_a_whole_stream(app):
    began = time.monotonic()
    arrived: list[int] = []
    for attempt in range(100):  # on a slow machine not even the first item may come in time
        with pytest.raises(CallError) as caught:
            async for number in app.client(Far).slow_stream(f"slow {attempt}"):
                arrived.append(number)  # noqa: PERF401
        if arrived:
            break

    assert arrived == [1]
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == "Far.slow_stream did not answer within its timeout of 0.4 s"
    assert time.monotonic() - began > 0.3
    assert await app.client(Witness).until(f"slow {attempt} cancelled") == 1


async def test_a_stream_without_a_timeout_has_none(app):
    assert [seen.remaining async for seen in app.client(Far).lasting()] == [None]


async def test_a_stream_without_a_timeout_has_its_caller_s(app):
    with using(Context(deadline=time.monotonic() + 5)):
        (left,) = [seen.remaining async for seen in app.client(Far).lasting()]

    assert 3 < left <= 5


async def test_a_caller_s_deadline_holds_over_a_stream_without_a_timeout(app):
    arrived = []
    with using(Context(deadline=time.monotonic() + 0.6)), pytest.raises(CallError) as caught:
        async for number in app.client(Far).trickle("given up", 1):
            arrived.append(number)  # noqa: PERF401

    assert arrived == [0]
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert "its caller had left" in caught.value.message or "answer within" in caught.value.message
    assert await app.client(Witness).until("given up cancelled") == 1


async def test_a_stream_that_falls_silent_is_ended_and_one_that_does_not_goes_on(app):
    arrived = []
    with pytest.raises(CallError) as caught:
        async for number in app.client(Far).trickle("silent", 6):
            arrived.append(number)  # noqa: PERF401 - in 1.2 s, longer than it may be silent

    assert arrived == list(range(6))
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == "Far.trickle sent nothing for 0.8 s, its idle limit"
    assert await app.client(Witness).until("silent cancelled") == 1


async def test_a_consumer_may_take_its_time(app):
    """It is no silence of the stream when nobody asks it for the next item."""
    arrived = []
    async with aclosing(app.client(Far).trickle("waited for", 3)) as numbers:
        async for number in numbers:
            arrived.append(number)
            if number == 1:
                await asyncio.sleep(1.2)
            if number == 2:
                break

    assert arrived == [0, 1, 2]


async def test_every_item_is_made_in_the_context_of_the_call(app):
    with using(Context(user=Identity("ada"), key="k-1")):
        contexts = [seen async for seen in app.client(Far).contexts(3)]

    assert {(seen.user, seen.operation) for seen in contexts} == {("ada", "Far.contexts")}


async def test_a_consumer_s_own_context_stays_its_own_between_items(app):
    async for seen in app.client(Far).contexts(2):
        with using(Context(user=Identity("eve"))):
            assert seen.user is None


async def test_a_consumer_calls_and_stores_while_its_producer_is_in_a_unit_of_work(app):
    assert await app.client(Mid).while_reading() == [0, 1, 2]


async def test_a_stream_that_is_first_read_inside_an_open_transaction_is_refused(app, caplog):
    with pytest.raises(CallError) as caught:
        await app.client(Mid).begun_before_reading()

    assert caught.value.code is Code.INTERNAL


async def test_context_variables_of_producer_and_consumer_stay_their_own(app):
    assert await app.client(Mid).moods() == [
        "nobody's", "the consumer's", "the producer's, 0", "the consumer's, later",
        "the producer's, 1", "the consumer's, later",
    ]  # fmt: skip


async def test_a_stream_for_users_alone_is_refused_without_one(app):
    with pytest.raises(CallError) as caught:
        async for _ in app.client(Far).private():
            pass

    assert caught.value.code is Code.UNAUTHENTICATED


async def test_several_streams_run_side_by_side(app):
    async def total(count: int) -> int:
        return sum([number async for number in app.client(Mid).numbers(count)])

    assert await asyncio.gather(*(total(count) for count in range(20))) == [n * (n - 1) for n in range(20)]
