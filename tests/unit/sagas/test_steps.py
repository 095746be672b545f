"""What a saga's function calls is a step by itself; what would run again when the saga resumes is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from sagakit import Booking, Bookings, CardDeclined, Facts, Hold, Remote, Request, engine, keyed, opened, told
from sqlalchemy import func, select

from meristem import CallError, Contract, Identity, current, idempotent, once, safe, using
from meristem.context import Context
from meristem.sagas.administration import SagaStore
from meristem.sagas.commands import fingerprint
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.saga import saga
from meristem.sagas.tables import STEPS


class Extras(Contract, Protocol, package="tests.sagas.v1"):
    @once
    async def wrap(self, what: str, *, paper: str = "red", ribbon: bool = True) -> str: ...

    @safe
    def watch(self, room: str) -> AsyncIterator[int]: ...

    @idempotent
    async def whoami(self) -> str: ...


class Shop(Remote):
    """Tells who asks, and what is wrapped in what."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    async def handle(self, call):
        if call.operation.name == "whoami":
            self.calls.append(("whoami", call.context.key))
            return call.context.user.subject if call.context.user else "nobody"
        if call.operation.name == "wrap":
            self.asked.append((call.request.what, call.request.paper, call.request.ribbon))
        return await super().handle(call)

    def _reply(self, name, request):
        return request.paper if name == "wrap" else super()._reply(name, request)


class Service(Bookings):
    def __init__(self, remote, database=None) -> None:
        super().__init__(remote, database)
        self.extras: Extras = remote.client(Extras)

    async def hold(self, room: str) -> Hold:
        """A part of the function, not a step: its call is one."""
        return await self.rooms.hold(room)


async def stopped(service, database, remote, begin) -> None:
    """Run until another service is asked that never answers, and end the process's work there."""
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(begin(service))
        await remote.reached.wait()
    await asyncio.gather(asking, return_exceptions=True)


async def failure(service, database, begin) -> str:
    """Why a saga failed, as its journal says."""
    async with engine(service, database):
        with keyed("k"), pytest.raises(CallError):
            await begin(service)
        [found] = await SagaStore(database).list()
        return (await SagaStore(database).show(found.id)).saga.error or ""


async def test_calls_are_steps_wherever_in_the_function_they_stand(database, remote):
    """In a helper, under gather, as a task, under a whole other context: none is made again by a resumed run."""

    class Several(Service):
        @saga
        async def go(self, _: Flow) -> list[int]:
            first = await self.hold("a")
            pair = await asyncio.gather(self.rooms.hold("b"), self.hold("c"))
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self.rooms.hold("d"))
            with using(Context(key=current().key)):
                last = await self.rooms.hold("e")
            await self.payments.charge(1)
            return [each.number for each in (first, *pair, task.result(), last)]

    remote.plans["charge"] = ["hang"]
    await stopped(Several(remote), database, remote, lambda service: service.go())
    assert remote.names() == ["hold"] * 5 + ["charge"]
    remote.freed.set()
    facts = Facts()
    async with engine(Several(remote), database, observers=[facts]):
        assert (await facts.until(SagaEnded)).state == "done"
        shown = await SagaStore(database).show(told("k", "go"))
    assert sorted(step.position for step in shown.steps) == ["0", "0/0", "1", "1/0", "2", "2/0"]
    assert [name for name, _ in remote.calls].count("hold") == 5


async def test_a_call_keeps_its_answer_over_a_restart(database, remote):
    class Looks(Service):
        @saga
        async def go(self, _: Flow) -> list[int]:
            seen = await self.rooms.look("a")
            await self.payments.charge(seen)
            return [seen, await self.rooms.look("b")]

    remote.plans["charge"] = ["hang"]
    await stopped(Looks(remote), database, remote, lambda service: service.go())
    remote.freed.set()
    facts = Facts()
    async with engine(Looks(remote), database, observers=[facts]):
        assert (await facts.until(SagaEnded)).state == "done"
    assert [name for name, _ in remote.calls] == ["look", "charge", "charge", "look"]


async def test_arguments_may_be_given_by_name(database):
    class Named(Service):
        @saga
        async def go(self, flow: Flow) -> str:
            await self.extras.wrap("a", ribbon=False)
            return await flow.step(self.colour, first="b", last="lue")

        async def colour(self, *, first: str, last: str) -> str:
            return first + last

    remote = Shop()
    service = Named(remote)
    async with engine(service, database):
        assert await service.go() == "blue"
    assert remote.asked == [("a", "red", False)]


@pytest.mark.parametrize("given", [(), ("red",), ("red", True)])
async def test_a_default_that_an_earlier_release_journaled_is_the_same_request(tmp_path, given):
    """It kept the arguments as they were written, with or without what is a default."""

    class Wraps(Service):
        @saga
        async def go(self, _: Flow) -> str:
            paper = await self.extras.wrap("a")
            await self.payments.charge(1)
            return paper

    remote = Shop()
    remote.plans["charge"] = ["hang"]
    async with opened(tmp_path / "a.db") as database:
        await stopped(Wraps(remote), database, remote, lambda service: service.go())
        written = fingerprint("Extras.wrap", ("a", *given))
        await database.execute(STEPS.update().where(STEPS.c.name == "Extras.wrap").values(request=written))
        remote.freed.set()
        facts = Facts()
        async with engine(Wraps(remote), database, observers=[facts]):
            assert (await facts.until(SagaEnded)).state == "done"


async def test_another_request_is_told_from_the_journal_s(tmp_path):
    class Wraps(Service):
        paper = "red"

        @saga
        async def go(self, _: Flow) -> str:
            wrapped = await self.extras.wrap("a", paper=self.paper)
            await self.payments.charge(1)
            return wrapped

    remote = Shop()
    remote.plans["charge"] = ["hang"]
    async with opened(tmp_path / "a.db") as database:
        await stopped(Wraps(remote), database, remote, lambda service: service.go())
        remote.freed.set()
        facts, service = Facts(), Wraps(remote)
        service.paper = "blue"
        async with engine(service, database, observers=[facts]):
            assert (await facts.until(SagaEnded)).state == "parked"


async def test_a_step_and_its_undo_are_for_the_user_of_the_using_around_it(database):
    class Guarded(Service):
        @saga
        async def go(self, flow: Flow) -> str:
            with using(user=Identity("ada")):
                first = await self.extras.whoami()
                await flow.with_undo(self.payments.charge(1), self.tell)
            self.seen.append((first, await self.extras.whoami()))
            raise CardDeclined(reason="no")

        async def tell(self, _: object) -> None:
            self.seen.append(await self.extras.whoami())

    remote = Shop()
    service = Guarded(remote)
    async with engine(service, database):
        with keyed("k", user=Identity("bob")), pytest.raises(CardDeclined):
            await service.go()
    assert service.seen == [("ada", "bob"), "ada"]


@pytest.mark.parametrize("changes", [{"key": "mine"}, {"deadline": 1e9}])
async def test_a_step_has_no_key_or_deadline_of_a_using(database, changes):
    class Keyed(Service):
        @saga
        async def go(self, _: Flow) -> None:
            with using(**changes):
                await self.rooms.hold("a")

    remote = Remote()
    told = await failure(Keyed(remote), database, lambda each: each.go())
    assert "using() can change the user, and values that travel" in told
    assert remote.calls == []


class Misusing(Service):
    """Does in a saga's function what a resumed run would do again, or what is no step."""

    @saga
    async def go(self, flow: Flow, how: str) -> None:
        await getattr(self, f"by_{how}")(flow)

    @saga
    async def other(self, flow: Flow) -> None: ...

    async def by_a_stream(self, _: Flow) -> None:
        async for _each in self.extras.watch("a"):
            pass

    async def by_a_plain_call(self, _: Flow) -> None:
        await self.rooms.shout("a")

    async def by_a_saga(self, _: Flow) -> None:
        await self.other()

    async def by_reading(self, _: Flow) -> None:
        await self.database.fetch_value(select(func.max(1)))

    async def by_writing(self, _: Flow) -> None:
        await self.database.execute(STEPS.delete())

    async def by_a_transaction(self, _: Flow) -> None:
        async with self.database.begin():
            pass

    async def by_a_method_as_a_call(self, flow: Flow) -> None:
        await flow.with_undo(self.hold("a"), self.rooms.release)

    async def by_a_call_as_a_method(self, flow: Flow) -> None:
        await flow.step(self.rooms.hold, "a")

    async def by_two_undos(self, flow: Flow) -> None:
        once_ = flow.with_undo(self.rooms.hold("a"), self.rooms.release)
        await flow.with_undo(once_, self.rooms.release)

    async def by_a_late_undo(self, flow: Flow) -> None:
        held = self.rooms.hold("a")
        await held
        await flow.with_undo(held, self.rooms.release)


@pytest.mark.parametrize(
    ("how", "remedy"),
    [
        ("a_stream", "Extras.watch is a stream"),
        ("a_plain_call", "declare it @once or @idempotent"),
        ("a_saga", "write await flow.step(self.other, …)"),
        ("reading", "run it by `await flow.step(self.method, …)`"),
        ("writing", "run it by `await flow.step(self.method, …)`"),
        ("a_transaction", "run it by `await flow.step(self.method, …)`"),
        ("a_method_as_a_call", "or flow.step(…)"),
        ("a_call_as_a_method", "call it itself, `await ….hold(…)`"),
        ("two_undos", "has no undo yet"),
        ("a_late_undo", "that has not begun"),
    ],
)
async def test_what_is_no_step_is_refused_with_the_remedy(database, remote, how, remedy):
    assert remedy in await failure(Misusing(remote, database), database, lambda each: each.go(how))


async def test_what_a_step_or_an_undo_calls_is_its_own(database, remote):
    """Calls and statements in them are not in the journal: the step is, and their keys come of its own."""

    class Nested(Service):
        @saga
        async def go(self, flow: Flow) -> None:
            await flow.with_undo(flow.step(self.work), self.take_back)
            raise CardDeclined(reason="no")

        async def work(self) -> int:
            await self.rooms.hold("a")
            async with self.database.begin() as tx:
                return await tx.fetch_value(select(func.max(1)))

        async def take_back(self, _: int) -> None:
            await self.rooms.release(Hold(room="a", number=1))

    service = Nested(remote, database)
    async with engine(service, database):
        with keyed("k"), pytest.raises(CardDeclined):
            await service.go()
        shown = await SagaStore(database).show(told("k", "go"))
    assert remote.names() == ["hold", "release"]
    assert [(step.kind, step.position) for step in shown.steps] == [("local", "0"), ("undo", "0")]


async def test_a_call_that_is_not_awaited_is_not_made_and_says_so(database, remote):
    class Forgetful(Service):
        @saga
        async def go(self, _: Flow) -> None:
            self.rooms.hold("a")  # the mistake

    service = Forgetful(remote)
    async with engine(service, database):
        with pytest.warns(RuntimeWarning, match="never awaited"):
            await service.go()
    assert remote.calls == []


async def test_the_same_client_calls_as_ever_outside_of_the_function(database, remote):
    class Both(Service):
        @saga
        async def go(self, _: Flow, request: Request) -> Booking:
            return Booking(room=(await self.rooms.hold(request.room)).room, paid=1)

    service = Both(remote)
    async with engine(service, database):
        await service.rooms.hold("before")
        await service.go(Request())
        assert await service.rooms.look("after") == 7
    assert [name for name, _ in remote.calls] == ["hold", "hold", "look"]
