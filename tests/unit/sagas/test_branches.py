"""Steps that run side by side keep their positions, their order and their undos in every replay."""

from __future__ import annotations

import asyncio
import random

import pytest
from sagakit import Booking, Bookings, CardDeclined, Facts, Hold, Remote, Request, engine, keyed, opened, told

from meristem import CallError
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.saga import saga


class Trip(Bookings):
    """A service that does several things at once."""

    @saga
    async def both(self, flow: Flow) -> int:
        first, second = await asyncio.gather(
            flow.with_undo(self.rooms.hold("a"), self.rooms.release),
            flow.with_undo(self.payments.charge(1), self.payments.refund),
        )
        await self.rooms.look("c")
        return first.number + second.number

    @saga
    async def branches(self, flow: Flow, width: int, depth: int) -> list[list[Hold]]:
        async def branch(name: str) -> list[Hold]:
            return [await self.rooms.hold(f"{name}{each}") for each in range(depth)]

        async def nested() -> list[Hold]:
            pairs = await asyncio.gather(branch("x"), branch("y"))
            return [*pairs[0], await self.rooms.hold("z")]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(f"n{each}/")) for each in range(width)]
            tasks.append(group.create_task(nested()))
        return [task.result() for task in tasks]

    @saga
    async def race(self, flow: Flow) -> str:
        async def lane(name: str) -> str:
            await self.rooms.hold(name)
            return name

        tasks = [asyncio.ensure_future(lane(name)) for name in "abc"]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winners = "".join(sorted(task.result() for task in done))
        self.seen.append(winners)
        await self.payments.charge(ord(winners[0]))
        return winners

    @saga
    async def nap_and_work(self, flow: Flow) -> int:
        async def work() -> int:
            await self.rooms.hold("a")
            return (await self.payments.charge(4)).amount

        _, amount = await asyncio.gather(flow.sleep(0.05), work())
        return amount


async def test_steps_that_are_gathered_run_together(database, remote):
    remote.plans["hold"] = ["hang"]
    service = Trip(remote)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.both())
        await remote.reached.wait()
        await remote.called("charge")
        remote.freed.set()
        assert await asking == 3
        shown = await SagaStore(database).show(told("k", "both"))
    assert {(step.name, step.position) for step in shown.steps} == {
        ("Rooms.hold", "0/0"),
        ("Payments.charge", "1/0"),
        ("Rooms.look", "0"),
    }


async def test_when_one_of_them_fails_the_others_are_awaited_and_undone(database, remote):
    """The hold is still under way when the card is declined, and its room is released all the same."""
    remote.plans["hold"] = ["hang"]
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    service = Trip(remote)
    async with engine(service, database):
        asking = asyncio.ensure_future(service.both())
        await remote.reached.wait()
        await remote.called("charge")
        remote.freed.set()
        with pytest.raises(CardDeclined):
            await asking
    assert remote.names() == ["hold", "release"]


class Jumbled(Remote):
    """Answers in an order of its own, and stops answering after a number of calls."""

    def __init__(self, seed: int, stop_after: int | None) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self.left = stop_after

    async def handle(self, call):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.reached.set()
                await asyncio.Event().wait()
        for _ in range(self._random.randrange(40)):
            await asyncio.sleep(0)
        return await super().handle(call)


async def interrupted(remote, database, begin, **more):
    service = Trip(remote)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(begin(service))
        await asyncio.wait({asking, asyncio.ensure_future(remote.reached.wait())}, return_when="FIRST_COMPLETED")
    await asyncio.gather(asking, return_exceptions=True)
    return service


@pytest.mark.parametrize("seed", range(12))
async def test_a_replay_gives_every_step_the_position_it_had(tmp_path, seed):
    """Interrupted anywhere, with answers in any order, each step has its effect once and the saga its answer."""
    async with opened(tmp_path / "a.db") as database:
        remote = Jumbled(seed, stop_after=seed + 1)
        await interrupted(remote, database, lambda service: service.branches(3, 3))
        remote.left = None
        service = Trip(remote)
        async with engine(service, database):
            with keyed("k"):
                held = await service.branches(3, 3)
    rooms = [[hold.room for hold in branch] for branch in held]
    assert rooms == [[f"n{n}/{d}" for d in range(3)] for n in range(3)] + [["x0", "x1", "x2", "z"]]
    assert len(remote.effects) == len({key for _, key in remote.effects}) == 3 * 3 + 2 * 3 + 1


@pytest.mark.parametrize("seed", range(8))
async def test_a_race_has_one_winner_in_every_replay(tmp_path, seed):
    async with opened(tmp_path / "a.db") as database:
        remote = Jumbled(seed, stop_after=3)
        first = await interrupted(remote, database, lambda service: service.race())
        remote.left = None
        second = Trip(remote)
        async with engine(second, database):
            with keyed("k"):
                winner = await second.race()
    assert first.seen == second.seen == [winner]


async def test_a_sleep_beside_work_does_not_hold_the_work_up(database, remote):
    service = Trip(remote)
    async with engine(service, database):
        assert await service.nap_and_work() == 4


async def test_a_hundred_sagas_run_side_by_side(database, remote):
    service, facts = Trip(remote), Facts()
    async with engine(service, database, observers=[facts]):
        booked = await asyncio.gather(*(service.book(Request(amount=each)) for each in range(100)))
    assert booked == [Booking(room="blue", paid=each) for each in range(100)]
    assert len([fact for fact in facts.all if isinstance(fact, SagaEnded)]) == 100


async def test_a_task_that_the_function_left_behind_is_ended_with_it(database, remote):
    class Service(Bookings):
        @saga
        async def careless(self, flow: Flow) -> None:
            self.left = asyncio.ensure_future(self.loop(flow))
            await self.rooms.look("a")
            raise CardDeclined(reason="no")

        async def loop(self, flow: Flow) -> None:
            while True:
                await flow.sleep(1.0)

    service = Service(remote)
    async with engine(service, database):
        with pytest.raises((CardDeclined, CallError)):
            await service.careless()
        await asyncio.wait({service.left})
    assert service.left.cancelled()
