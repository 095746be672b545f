"""A request that is a stream behaves the same, wherever its callee runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from cancelling import give_up, leave_in_the_midst
from systems.belts import BLOB, Belt, Box, Full, Lane, Loader, upto
from systems.witness import Witness

from meristem import CallError, Code, Context, Identity, MisuseError, using

SYSTEM = "systems.belts:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Feed:
    """An endless iterator that tells how far it ran, and how it ended."""

    def __init__(self, *first: str) -> None:
        self.first = first
        self.given = 0
        self.ended = asyncio.Event()

    async def items(self) -> AsyncIterator[str]:
        try:
            for name in self.first:
                yield name
            while True:
                self.given += 1
                yield "more"
        finally:
            self.ended.set()

    async def then_nothing(self) -> AsyncIterator[str]:
        try:
            for name in self.first:
                yield name
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def then(self, error: Exception) -> AsyncIterator[str]:
        for name in self.first:
            yield name
        raise error


async def numbers_until_closed(closed: asyncio.Event) -> AsyncIterator[int]:
    number = 0
    try:
        while True:
            yield number
            number += 1
    finally:
        closed.set()


# One reply to a stream


async def test_10000_items_arrive_in_order_and_none_is_missing(app):
    assert await app.client(Belt).total(upto(10_000)) == 49_995_000
    assert await app.client(Loader).load(100) == 4950


async def test_no_item_at_all_is_a_stream_too(app):
    assert await app.client(Belt).total(upto(0)) == 0


async def test_a_service_hands_its_caller_s_items_on(app):
    assert await app.client(Loader).pass_on(upto(1000)) == 499_500


async def test_items_are_the_callee_s_own(app):
    box = Box(number=1)

    async def boxes() -> AsyncIterator[Box]:
        yield box
        yield box

    assert await app.client(Belt).mark(boxes()) == [Box(number=1, marks=["seen"])] * 2
    assert box.marks == []


async def test_a_callee_that_returns_early_ends_its_caller_s_iterator(app):
    closed = asyncio.Event()

    assert await app.client(Belt).first(numbers_until_closed(closed)) == [0, 1, 2]
    assert closed.is_set()


async def test_an_iterator_that_waits_when_the_answer_comes_is_ended(app):
    feed = Feed("early")
    waiting = asyncio.ensure_future(app.client(Belt).gated(feed.then_nothing()))
    await app.client(Witness).until("early began")
    await give_up(waiting)

    assert feed.ended.is_set()


async def test_a_declared_fault_in_the_middle_arrives_as_itself(app):
    closed = asyncio.Event()
    with pytest.raises(Full) as caught:
        await app.client(Belt).fill(numbers=numbers_until_closed(closed))

    assert caught.value.after == 2
    assert closed.is_set()


async def test_a_bug_in_the_callee_is_internal(app, caplog):
    with pytest.raises(CallError) as caught:
        await app.client(Belt).stumble(upto(10))

    assert caught.value.code is Code.INTERNAL
    assert "s3cret" not in str(caught.value)


async def test_what_a_caller_s_iterator_raises_is_the_caller_s_and_the_callee_sees_it_break_off(app):
    mine = LookupError("no more boxes")
    with pytest.raises(LookupError) as caught:
        await app.client(Belt).watched(Feed("broken").then(mine))

    assert caught.value is mine
    assert await app.client(Witness).until("broken met canceled") == 1


async def test_an_item_that_is_not_as_declared_is_refused_and_nothing_after_it_is_taken(app):
    async def boxes() -> AsyncIterator[Box]:
        yield Box(number=1)
        yield Box(number=-1)

    with pytest.raises(CallError) as caught:
        await app.client(Belt).mark(boxes())

    assert caught.value.code is Code.INVALID_ARGUMENT
    assert [each.field for each in caught.value.violations] == ["number"]


async def test_a_callee_that_goes_on_after_an_item_that_is_not_as_declared_meets_the_same_again(app):
    closed = asyncio.Event()

    async def boxes() -> AsyncIterator[Box]:
        try:
            yield Box(number=1)
            yield Box(number=-1)
            yield Box(number=3)
        finally:
            closed.set()

    met = await app.client(Belt).forgiving(boxes())

    assert met[0] == "1"
    assert met[1].startswith("[invalid_argument] number: ")
    assert set(met[2:]) == {met[1]}
    assert closed.is_set()


async def test_a_caller_that_is_cancelled_cancels_its_callee(app):
    feed = Feed("given up")
    call = asyncio.ensure_future(app.client(Belt).watched(feed.then_nothing()))
    await app.client(Witness).until("given up began")
    await give_up(call)

    assert await app.client(Witness).until("given up was cancelled") == 1
    assert feed.ended.is_set()


async def test_a_deadline_holds_over_a_whole_stream(app):
    feed = Feed("late")
    with pytest.raises(CallError) as caught:
        await app.client(Belt).hurried(feed.then_nothing())

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == "Belt.hurried did not answer within its timeout of 0.4 s"
    assert await app.client(Witness).until("late was cancelled") == 1
    assert feed.ended.is_set()


async def test_a_caller_s_deadline_holds_over_a_stream_without_a_timeout(app):
    feed = Feed("short")
    with using(deadline=time.monotonic() + 0.5), pytest.raises(CallError) as caught:
        await app.client(Belt).watched(feed.then_nothing())

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert feed.ended.is_set()


async def test_a_caller_that_falls_silent_is_told_so(app):
    async def numbers() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    with pytest.raises(CallError) as caught:
        await app.client(Belt).patient(numbers())

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message == "Belt.patient was sent nothing for 0.4 s, its idle limit"


async def test_a_callee_may_take_its_time(app):
    async def numbers() -> AsyncIterator[int]:
        yield 99
        yield 1

    assert await app.client(Belt).patient(numbers()) == 100


async def test_an_iterator_runs_only_as_far_as_its_callee_takes(app, where):
    feed = Feed("ahead")

    async def names() -> AsyncIterator[str]:
        yield "ahead"
        async with aclosing(feed.items()) as items:
            async for _ in items:
                yield "x" * 10_000

    call = asyncio.ensure_future(app.client(Belt).gated(names()))
    await app.client(Witness).until("ahead began")
    before = -1
    while feed.given > before:  # until it stands still
        before = feed.given
        for _ in range(200):
            await asyncio.sleep(0)
        await app.client(Witness).let("a look")

    # In one process it waits for each; between two, the ends and the kernel hold some.
    assert feed.given <= (1 if where == "local" else 1000)
    await give_up(call)


async def test_each_item_is_taken_in_the_context_of_the_call(app):
    with using(Context(user=Identity("ada"))), Lane.using("left"):
        found = await app.client(Belt).tags(upto(3))

    assert {(each.seen.user, each.seen.operation, each.lane) for each in found} == {("ada", "Belt.tags", "left")}
    assert len(found) == 3


async def test_items_are_made_in_the_context_of_their_caller(app):
    with using(Context(user=Identity("ada"))), Lane.using("left"):
        found = await app.client(Loader).tags()

    assert [each.seen.operation for each in found] == ["Belt.tags", "Belt.tags", "Loader.tags", "Loader.tags"]
    assert {(each.seen.user, each.lane) for each in found} == {("ada", "left")}
    assert len({each.seen.trace for each in found}) == 1
    assert {each.seen.caller for each in found[:2]} == {"loader"}


async def test_context_variables_of_caller_iterator_and_callee_stay_their_own(app):
    assert await app.client(Loader).moods() == [
        "the caller's", "nobody's", "the iterator's", "the callee's", "the caller's",
    ]  # fmt: skip


async def test_a_stream_for_users_alone_is_refused_without_one(app):
    with pytest.raises(CallError) as caught:
        await app.client(Belt).private(upto(3))

    assert caught.value.code is Code.UNAUTHENTICATED


async def test_what_is_no_async_iterator_is_refused_at_the_call(app):
    with pytest.raises(MisuseError, match=r"Belt\.total: numbers is a stream: give an async iterator"):
        await app.client(Belt).total([1, 2, 3])  # type: ignore[arg-type]


async def test_many_streams_run_side_by_side(app):
    totals = await asyncio.gather(*(app.client(Belt).total(upto(count)) for count in range(30)))

    assert totals == [count * (count - 1) // 2 for count in range(30)]


# Streams on both sides


async def test_each_side_answers_what_the_other_said_last(app):
    """The next item depends on the last reply, so neither side can be collected before the other."""
    said: asyncio.Queue[int] = asyncio.Queue()
    said.put_nowait(1)

    async def numbers() -> AsyncIterator[int]:
        while (number := await said.get()) < 1000:
            yield number

    found = []
    async for total in app.client(Belt).running(numbers()):
        found.append(total)
        said.put_nowait(total + 1)

    assert found == [1, 3, 7, 15, 31, 63, 127, 255, 511, 1023]


async def test_1000_items_come_back_in_order(app):
    async def boxes() -> AsyncIterator[Box]:
        for number in range(1000):
            yield Box(number=number, marks=["a"])

    found = [box.number async for box in app.client(Belt).echo(boxes())]

    assert found == list(range(1000))
    assert [total async for total in app.client(Loader).hand_on(upto(100))][-1] == 4950


async def test_what_is_handed_on_ends_well_though_the_items_end_while_the_first_reply_is_sent(app):
    """A service that hands items on reads them in one task and answers in another."""
    for _ in range(50):
        assert [total async for total in app.client(Loader).hand_on(upto(3))] == [0, 1, 3]


async def test_both_sides_send_megabytes_before_they_read(app):
    sent = 0

    async def blobs() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(128):
            sent += len(BLOB)
            yield BLOB

    received = 0
    async for blob in app.client(Belt).flood(blobs()):
        received += len(blob)

    assert (sent, received) == (128 * len(BLOB), 128 * len(BLOB) + len(b"all read"))


async def test_a_fault_ends_both_sides(app):
    closed = asyncio.Event()
    found = []
    with pytest.raises(Full) as caught:
        async for number in app.client(Belt).faulty(numbers_until_closed(closed)):
            found.append(number)  # noqa: PERF401 - what came before it counts

    assert (found, caught.value.after) == ([0], 1)
    assert closed.is_set()


async def test_one_who_leaves_early_ends_callee_and_iterator(app):
    feed = Feed("left")
    async with aclosing(app.client(Belt).few(feed.items())) as replies:
        assert await anext(replies) == "left"

    assert feed.ended.is_set()
    assert await app.client(Witness).until("left ended") == 1


async def test_a_callee_that_ends_first_ends_its_caller_s_iterator(app):
    feed = Feed("over", "and out")

    assert [each async for each in app.client(Belt).few(feed.items())] == ["over", "and out"]
    assert feed.ended.is_set()


async def test_what_a_caller_s_iterator_raises_ends_both_sides(app):
    mine = LookupError("no more names")
    found = []
    with pytest.raises(LookupError) as caught:
        async for name in app.client(Belt).few(Feed("torn").then(mine)):
            found.append(name)  # noqa: PERF401

    assert caught.value is mine
    assert found == ["torn"]
    assert await app.client(Witness).until("torn met canceled") == 1


async def test_a_caller_that_is_cancelled_cancels_both_sides(app):
    feed = Feed("dropped")
    await leave_in_the_midst(app.client(Belt).few(feed.then_nothing()))

    assert await app.client(Witness).until("dropped ended") == 1
    assert feed.ended.is_set()


async def test_silence_on_both_sides_ends_them(app):
    with pytest.raises(CallError) as caught:
        async for _ in app.client(Belt).silent(Feed("hello").then_nothing()):
            pass

    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.message in (
        "Belt.silent sent nothing for 0.4 s, its idle limit", "Belt.silent was sent nothing for 0.4 s, its idle limit",
    )  # fmt: skip


async def test_each_reply_is_made_in_the_context_of_the_call(app):
    with using(Context(user=Identity("ada"))), Lane.using("right"):
        found = [each async for each in app.client(Belt).tagging(upto(3))]

    assert {(each.seen.user, each.lane) for each in found} == {("ada", "right")}
