"""The flow: what a saga's function awaits instead of calling, sleeping and looking at the clock by itself."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar, TypeVarTuple
from uuid import UUID

from meristem.contracts.message import Event
from meristem.errors import MisuseError
from meristem.sagas.commands import CallCommand, SagaCommand, SleepCommand, WaitCommand, fingerprint, step_of
from meristem.sagas.positions import next_draw
from meristem.sagas.records import Kind

Ts = TypeVarTuple("Ts")
R = TypeVar("R")
E = TypeVar("E", bound=Event)


class Issuer(Protocol):
    """What performs the commands of one saga."""

    def issue(self, command: SagaCommand) -> asyncio.Future[Any]:
        """Answer from the journal, or begin."""
        ...

    def left(self) -> None:
        """The running task of the function was cancelled while it waited for an answer."""
        ...


class Flow:
    """The durable side of a saga's function.

    `id` names the saga, `version` is the one it began with, however new the code is. Everything that takes time or
    chance goes through the flow: the function is run again after a crash and must ask the same questions.
    """

    __slots__ = ("_future", "_issuer", "_moment", "_seed", "_waits", "id", "version")

    def __init__(
        self, issuer: Issuer, saga_id: str, version: int, *, began: datetime, seed: str, waits: tuple[type[Event], ...]
    ) -> None:
        self.id = saga_id
        self.version = version
        self._issuer = issuer
        self._future = asyncio.get_running_loop().create_future
        self._moment = began
        self._seed = seed
        self._waits = waits

    async def call(
        self,
        method: Callable[[*Ts], Awaitable[R]],
        *arguments: *Ts,
        undo: Callable[[R], Awaitable[object]] | None = None,
    ) -> R:
        """Call a client's method, or run a step of this service, once; `undo` gets the reply if the saga fails later.

        A step of the service itself commits in one transaction with its place in the journal. Raises the declared
        faults, and CallError for a definite failure; without an `undo` also when it may have happened.
        """
        step = step_of(method)
        command = CallCommand(
            self._future(), step.kind, step.name, fingerprint(step.name, arguments), step.reply,
            step=step, method=method, arguments=arguments, undo=undo,
        )  # fmt: skip
        try:  # as `_answer` does, which would be a coroutine more on the way of every step
            reply: R = await self._issuer.issue(command)
        except asyncio.CancelledError:
            self._issuer.left()
            raise
        return reply

    async def sleep(self, seconds: float) -> None:
        """Pause, for seconds or for weeks: a long pause keeps nothing in memory."""
        request = fingerprint("sleep", seconds)
        await self._answer(SleepCommand(self._future(), Kind.SLEEP, "sleep", request, None, seconds=seconds))

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
        found: E = await self._answer(command)
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

    def at(self, moment: datetime) -> None:
        """Move `now()` on to an answer's time."""
        self._moment = max(self._moment, moment)  # never back: the clocks of two replicas may differ

    async def _answer(self, command: SagaCommand) -> Any:
        try:
            return await self._issuer.issue(command)
        except asyncio.CancelledError:
            self._issuer.left()
            raise

    def _draw(self) -> bytes:
        return hashlib.sha256(f"{self._seed}\n{next_draw(self.id)}".encode()).digest()
