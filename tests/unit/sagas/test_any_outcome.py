"""Whatever a saga's steps answer, and wherever it is interrupted, its end is consistent."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sagakit import QUICK, Bookings, Facts, Remote, RoomTaken, engine, keyed, opened, told, unavailable

from meristem import CallError, Code
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.policy import Backoff
from meristem.sagas.saga import saga

STEADY = replace(QUICK, retry=Backoff(0.002, 0.002), undo=Backoff(0.0005, 0.001, attempts=40))


class Chain(Bookings):
    """A saga of as many steps as wanted."""

    @saga(patience=0.005)
    async def chain(self, flow: Flow, length: int) -> int:
        for each in range(length):
            await flow.with_undo(self.rooms.hold(str(each)), self.rooms.release)
        return length


class Scripted(Remote):
    """Each room answers by its own script; `"stop"` does the effect and ends the process's work."""

    def __init__(self, holds: list[list[str]], releases: list[list[str]]) -> None:
        super().__init__()
        self.scripts = {"hold": holds, "release": releases}

    async def handle(self, call):
        name, key = call.operation.name, call.context.key
        room = int(call.request.room)
        script = self.scripts[name][room]
        outcome = script.pop(0) if script else "fine"
        if outcome == "taken":
            if (name, key) not in self.answers:
                raise RoomTaken(room=str(room))
            outcome = "fine"  # an answer that was given stays
        if outcome == "dead":
            raise unavailable(sent=False)
        if outcome == "broken":
            raise CallError(Code.INTERNAL, "a bug")
        if (name, key) not in self.answers:
            self.effects.append((name, str(room)))
            self.answers[name, key] = self._reply(name, call.request)
        if outcome == "lost":
            raise unavailable(sent=True)
        if outcome == "stop":
            self.reached.set()
            await asyncio.Event().wait()
        return self.answers[name, key]


def scripts(*outcomes: str):
    return st.lists(st.lists(st.sampled_from(outcomes), max_size=5), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    holds=scripts("fine", "fine", "taken", "lost", "dead", "broken", "stop"),
    releases=scripts("fine", "lost", "dead", "broken", "stop"),
)
@example(holds=[[], [], ["stop", "dead", "dead", "dead"]], releases=[[], [], []])
@example(holds=[[], [], ["lost", "stop", "dead", "dead", "dead"]], releases=[[], [], ["stop", "lost"]])
def test_it_ends_with_every_effect_or_with_none(holds, releases):
    remote, state = asyncio.run(play(holds, releases))
    held = [room for name, room in remote.effects if name == "hold"]
    released = [room for name, room in remote.effects if name == "release"]
    if state == "done":
        assert (held, released) == (["0", "1", "2"], [])
    else:
        assert state == "failed"
        assert held == sorted(set(held))
        assert released == held[::-1]


async def play(holds, releases) -> tuple[Remote, str]:
    remote = Scripted(holds, releases)
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder) / "a.db") as database:
            while True:
                remote.reached.clear()
                facts, service = Facts(), Chain(remote)
                async with engine(service, database, policy=STEADY, observers=[facts]):
                    with keyed("k"):
                        asking = asyncio.ensure_future(service.chain(3))
                    stopped = asyncio.ensure_future(remote.reached.wait())
                    await asyncio.wait({asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
                await asyncio.gather(asking, stopped, return_exceptions=True)
                if [fact for fact in facts.all if isinstance(fact, SagaEnded)] or not remote.reached.is_set():
                    break
            return remote, (await SagaStore(database).show(told("k", "chain"))).saga.state.value
