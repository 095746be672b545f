"""The flow: what a saga's function awaits instead of calling, sleeping and looking at the clock by itself."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Coroutine
from datetime import datetime
from typing import Any, ParamSpec, TypeAlias, TypeVar, overload
from uuid import UUID

from meristem.contracts.message import Event, Message
from meristem.errors import MisuseError
from meristem.sagas.commands import SignalCommand, SleepCommand, WaitCommand, fingerprint, signal_type
from meristem.sagas.gathering import Gathering
from meristem.sagas.positions import next_draw
from meristem.sagas.records import Kind, SagaRow
from meristem.sagas.steps import Issuer, Steps, answer, with_undo

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E", bound=Event)
M = TypeVar("M", bound=Message)
_Work: TypeAlias = Coroutine[Any, Any, R]


class Flow:
    """The durable side of a saga's function.

    `id` names the saga, `version` is the one it began with, however new the code is. Everything that takes time or
    chance goes through the flow: the function is run again after a crash and must ask the same questions.
    """

    __slots__ = ("_future", "_issuer", "_moment", "_patched", "_seed", "_signals", "_steps", "_waits", "id", "version")

    def __init__(
        self,
        issuer: Issuer,
        steps: Steps,
        saga: SagaRow,
        waits: tuple[type[Event], ...],
        signals: Collection[type[Message]],
        patched: Callable[[str], bool],
    ) -> None:
        self.id = saga.id
        self.version = saga.version
        self._issuer = issuer
        self._future = asyncio.get_running_loop().create_future
        self._steps = steps
        self._moment = saga.created
        self._seed = saga.seed
        self._waits = waits
        self._signals = signals
        self._patched = patched

    def step(
        self, method: Callable[P, Awaitable[R]], /, *arguments: P.args, **named: P.kwargs
    ) -> Coroutine[Any, Any, R]:
        """Run an async method of this service once, or another saga of it: `await flow.step(self.note, order)`.

        A method commits in one transaction with its place in the journal. Raises the declared faults, and CallError.
        """
        return self._steps.function(method, arguments, named)

    def with_undo(self, call: Awaitable[R], undo: Callable[[R], Awaitable[object]], /) -> Coroutine[Any, Any, R]:
        """A step that is taken back if the saga fails later; `undo` gets its reply.

        `payment = await flow.with_undo(self.payments.charge(order), self.payments.refund)`. The undo is known before
        the step begins, so it also follows where nobody can tell whether the step happened.
        """
        return with_undo(call, undo)

    # A type checker knows the types of several results in no other way than by one signature for each number of them.
    @overload
    def gather(self, first: _Work[A], second: _Work[B], /, *, limit: int | None = None) -> _Work[tuple[A, B]]: ...
    @overload
    def gather(
        self, first: _Work[A], second: _Work[B], third: _Work[C], /, *, limit: int | None = None
    ) -> _Work[tuple[A, B, C]]: ...
    @overload
    def gather(
        self, first: _Work[A], second: _Work[B], third: _Work[C], fourth: _Work[D], /, *, limit: int | None = None
    ) -> _Work[tuple[A, B, C, D]]: ...
    @overload
    def gather(self, *branches: _Work[R], limit: int | None = None) -> _Work[tuple[R, ...]]: ...
    def gather(self, *branches: Any, limit: int | None = None) -> Any:
        """Run branches side by side, at most `limit` at once: `await flow.gather(self.seats.hold(train), pay(flow))`.

        A branch is a call, a step, or a coroutine that awaits some. Gives the replies in the order of the branches.
        When one fails, no other begins anything more, calls under way are waited for, and the failure is raised.
        """
        return Gathering(self._issuer, branches, limit).run(self.id)

    async def sleep(self, seconds: float) -> None:
        """Pause, for seconds or for weeks: a long pause keeps nothing in memory."""
        request = fingerprint("sleep", seconds)
        await answer(self._issuer, SleepCommand(self._future(), Kind.SLEEP, "sleep", request, None, seconds=seconds))

    async def wait_for(self, event: type[E], *, key: str = "", timeout: float | None) -> E:  # noqa: ASYNC109 - durable
        """The first event of this type and key since the saga began; TimeoutError after `timeout` seconds.

        Only events of `@saga(waits=[...])` are kept. The event that answered one wait doesn't answer another.
        """
        # The engine buffers only the events that the sagas of a class declare, from before the saga asks for them.
        if event not in self._waits:
            raise MisuseError(
                f"the saga waits for {event.__name__} without saying so: write @saga(waits=[{event.__name__}])"
            )
        name, request = event.event_type, fingerprint(event.event_type, [key, timeout])
        command = WaitCommand(self._future(), Kind.WAIT, name, request, event, key=key, seconds=timeout)
        found: E = await answer(self._issuer, command)
        return found

    def patched(self, name: str) -> bool:
        """Whether this saga takes a change of its code: new ones do, and older ones that had not come so far.

        `name` is one of `@saga(patches=[...])`. The answer is the same in every replay.
        """
        return self._patched(name)

    async def wait_for_signal(self, signal: type[M], *, timeout: float | None) -> M:  # noqa: ASYNC109 - durable
        """The next signal of this type that is sent to this saga; TimeoutError after `timeout` seconds.

        `@saga(signals=[...])` lists those that it takes. They are kept from its beginning on, also before it waits for
        one, and handed out once each, in the order in which they were sent.
        """
        if signal not in self._signals:
            text = f"the saga waits for {signal.__name__} without saying so: write @saga(signals=[{signal.__name__}])"
            raise MisuseError(text)
        name = signal_type(signal.__name__)
        command = SignalCommand(
            self._future(), Kind.WAIT, name, fingerprint(name, [timeout]), signal, key=self.id, seconds=timeout
        )
        found: M = await answer(self._issuer, command)
        return found

    def now(self) -> datetime:
        """The time of the last answer, the same in every replay; UTC."""
        return self._moment

    def random(self) -> float:
        """A random number from 0.0 up to 1.0, the same in every replay."""
        return int.from_bytes(self._draw()[:7], "big") / (1 << 56)

    def uuid(self) -> UUID:
        """A random UUID, the same in every replay."""
        return UUID(bytes=self._draw()[:16], version=4)

    def begin_at(self, moment: datetime, seed: str) -> None:
        """Have time and chance go on from here."""
        self.at(moment)
        self._seed = seed

    def at(self, moment: datetime) -> None:
        """Move `now()` on to an answer's time."""
        self._moment = max(self._moment, moment)  # never back: the clocks of two replicas may differ

    def _draw(self) -> bytes:
        return hashlib.sha256(f"{self._seed}\n{next_draw(self.id)}".encode()).digest()
