"""Many calls are one batch; each keeps its user, its deadline and its error."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from meristem import CallError, Code, Context, Fault, Identity, WiringError, batched, current, using
from meristem.errors import MisuseError
from meristem.services.batching import Batch


class Unreadable(Fault):
    """A text that nobody can score."""


class Model:
    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.users: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    @batched(max_size=4, max_wait=0.01)
    async def score(self, texts: list[str]) -> Sequence[int | Exception]:
        """How long texts are."""
        assert isinstance(texts, Batch)
        self.batches.append(list(texts))
        self.users.append([each.user.subject if each.user else "" for each in texts.contexts])
        await self.gate.wait()
        if "refuse" in texts:
            raise CallError(Code.UNAVAILABLE, "the model is away")
        if "crash" in texts:
            raise ValueError("a bug")
        return [Unreadable() if each == "bad" else len(each) for each in texts]

    @batched(max_size=8)
    def threaded(self, numbers: list[int]) -> list[tuple[int, str]]:
        return [(each, threading.current_thread().name) for each in numbers]


async def test_calls_at_a_time_are_batches_of_at_most_so_many():
    model = Model()
    results = await asyncio.gather(*(model.score("x" * n) for n in range(1, 11)))

    assert results == list(range(1, 11))
    assert [len(each) for each in model.batches] == [4, 4, 2]


async def test_one_call_waits_no_longer_than_it_must():
    model, started = Model(), time.monotonic()

    assert await model.score("one") == 3
    assert time.monotonic() - started < 5
    assert model.batches == [["one"]]


async def test_what_comes_while_a_batch_runs_is_the_next_batch():
    model = Model()
    model.gate.clear()
    first = asyncio.create_task(model.score("a"))
    while not model.batches:
        await asyncio.sleep(0.005)
    others = [asyncio.create_task(model.score("bb")) for _ in range(3)]
    await asyncio.sleep(0.03)
    assert model.batches == [["a"]]
    model.gate.set()

    assert [await first, *[await each for each in others]] == [1, 2, 2, 2]
    assert model.batches == [["a"], ["bb", "bb", "bb"]]


async def test_each_item_keeps_its_user_and_the_batch_has_none():
    model = Model()

    async def ask(name: str) -> int:
        with using(user=Identity(name)):
            return await model.score(name)

    await asyncio.gather(ask("ada"), ask("bob"))

    assert model.users == [["ada", "bob"]]
    assert current().user is None


async def test_the_deadline_of_a_batch_is_that_of_who_waits_longest():
    seen: list[float | None] = []

    class Timed:
        @batched(max_size=2)
        async def work(self, items: list[int]) -> list[int]:
            seen.append(current().deadline)
            return items

    timed = Timed()

    async def ask(deadline: float | None) -> None:
        with using(Context(deadline)):
            await timed.work(1)

    await asyncio.gather(ask(5.0), ask(9.0))
    await asyncio.gather(ask(5.0), ask(None))

    assert seen == [9.0, None]


async def test_an_error_among_the_results_is_for_its_item_alone():
    good, bad = await asyncio.gather(Model().score("good"), Model().score("bad"), return_exceptions=True)
    model = Model()
    same = await asyncio.gather(model.score("good"), model.score("bad"), return_exceptions=True)

    assert (good, type(bad)) == (4, Unreadable)
    assert [same[0], type(same[1])] == [4, Unreadable]
    assert len(model.batches) == 1


async def test_after_a_bug_each_item_is_tried_alone_and_the_bad_one_fails_by_itself():
    model = Model()
    found = await asyncio.gather(*map(model.score, ["a", "crash", "ccc"]), return_exceptions=True)

    assert [found[0], type(found[1]), found[2]] == [1, ValueError, 3]
    assert model.batches == [["a", "crash", "ccc"], ["a"], ["crash"], ["ccc"]]


async def test_a_refusal_is_for_all_and_nothing_is_tried_again():
    model = Model()
    found = await asyncio.gather(*map(model.score, ["a", "refuse"]), return_exceptions=True)

    assert [each.code for each in found if isinstance(each, CallError)] == [Code.UNAVAILABLE] * 2
    assert len(model.batches) == 1


async def test_who_waits_no_longer_is_left_out_and_holds_up_nobody():
    model = Model()
    model.gate.clear()
    first = asyncio.create_task(model.score("first"))
    while not model.batches:
        await asyncio.sleep(0.005)
    gone, stays = asyncio.create_task(model.score("gone")), asyncio.create_task(model.score("stays"))
    await asyncio.sleep(0)
    gone.cancel()
    first.cancel()
    await asyncio.sleep(0)
    model.gate.set()

    assert await stays == 5
    assert model.batches == [["first"], ["stays"]]


async def test_a_plain_function_runs_in_a_thread():
    model = Model()
    found = await asyncio.gather(*(model.threaded(n) for n in range(3)))

    assert [number for number, _ in found] == [0, 1, 2]
    assert threading.current_thread().name not in {thread for _, thread in found}


async def test_a_batch_that_does_not_answer_for_each_item_is_tried_alone_and_a_wrong_one_is_told():
    class Wrong:
        @batched(max_size=2)
        async def work(self, items: list[int]) -> list[int]:
            return []

    found = await asyncio.gather(*map(Wrong().work, range(2)), return_exceptions=True)

    assert [type(each) for each in found] == [MisuseError, MisuseError]
    assert "Wrong.work was given 1 items and returned 0 results" in str(found[0])


async def test_objects_do_not_share_batches():
    one, other = Model(), Model()
    await asyncio.gather(one.score("a"), other.score("b"))

    assert (one.batches, other.batches) == ([["a"]], [["b"]])


@pytest.mark.parametrize(("size", "wait", "said"), [(0, 0.1, "max_size=0"), (1, -1, "max_wait=-1"), (1, 99, "0 to 60")])
def test_sizes_and_times_that_make_no_sense_are_refused(size, wait, said):
    with pytest.raises(WiringError, match=said):
        batched(max_size=size, max_wait=wait)


class Odd:
    """Does once what no batch should."""

    @batched(max_size=1)
    async def cancelled(self, numbers: list[int]) -> list[int]:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        return [await gone for _ in numbers]

    @batched(max_size=1)
    def stopped(self, numbers: list[int]) -> list[int]:
        return [next(iter(list[int]())) for _ in numbers] if numbers[0] < 0 else self._first(numbers)

    def _first(self, numbers: list[int]) -> list[int]:
        raise StopIteration(numbers[0])

    @batched(max_size=2)
    async def among(self, numbers: list[int]) -> Sequence[int | Exception]:
        return [StopIteration() if each < 0 else each for each in numbers]

    @batched(max_size=1)
    async def again(self, numbers: list[int]) -> list[int]:
        return await asyncio.gather(*(self.again(each - 1) for each in numbers if each))

    @batched(max_size=1)
    async def nothing(self, _numbers: list[int]) -> list[int]:
        return None  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["cancelled", "stopped"])
async def test_an_end_of_something_else_is_an_error_and_no_end_of_its_callers(name: str):
    with pytest.raises(RuntimeError, match=f"Odd.{name}"):
        await asyncio.wait_for(getattr(Odd(), name)(1), 20)


async def test_a_result_that_no_future_can_hold_is_an_error_of_its_own_caller():
    odd = Odd()
    good, bad = await asyncio.wait_for(asyncio.gather(odd.among(1), odd.among(-1), return_exceptions=True), 20)

    assert good == 1
    assert isinstance(bad, RuntimeError)


async def test_a_batch_that_waits_for_itself_is_told_so():
    with pytest.raises(MisuseError, match=r"Odd.again waits for itself"):
        await asyncio.wait_for(Odd().again(1), 20)


async def test_no_results_at_all_are_told_as_what_they_are():
    with pytest.raises(MisuseError, match=r"must return a list of results, and returned NoneType"):
        await Odd().nothing(1)


def test_one_object_serves_event_loops_one_after_the_other():
    class Waiting:
        @batched(max_size=2, max_wait=0.01)
        async def score(self, numbers: list[int]) -> list[int]:
            if 0 in numbers:
                await asyncio.Event().wait()
            return numbers

    waiting = Waiting()

    async def left() -> list[asyncio.Task[int]]:
        tasks = [asyncio.create_task(waiting.score(each)) for each in (0, 0, 3)]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks  # one batch runs, and one item waits for it

    async def timed() -> None:
        asyncio.create_task(waiting.score(1))  # noqa: RUF006 - the loop ends before its timer
        await asyncio.sleep(0)

    tasks = asyncio.run(left())
    assert all(each.cancelled() for each in tasks)
    asyncio.run(timed())
    assert asyncio.run(asyncio.wait_for(waiting.score(5), 20)) == 5
