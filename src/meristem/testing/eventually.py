"""What comes true after a while: asked again and again while a clock that stands still is moved on."""

from __future__ import annotations

import asyncio
import inspect
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from meristem.errors import CallError, Fault
from meristem.testing.manual_clock import ManualClock
from meristem.testing.settling import AGAIN, left_in, moment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from meristem.clock import Clock
    from meristem.runtime.instance import ServiceInstance
    from meristem.runtime.storage import ServiceStorage
    from meristem.testing.history import AnyCall, Recording

TRUE: Final[Any] = object()
"""Expected where any true value will do."""

PATIENCE: Final = 0.1  # seconds for calls under way, of which nobody can tell whether they wait for the clock
MOMENT: Final = 0.001  # seconds for threads that work for the event loop, while a clock stands still
SHOWN: Final = 10  # sagas of one service


class Probe:
    """What a test asks again and again, and what it was told last."""

    def __init__(self, ask: Callable[[], Any | Awaitable[Any]], expected: Any) -> None:
        self._ask = ask
        self._expected = expected
        self.value: Any = None
        self.error: Exception | None = None

    async def holds(self) -> bool:
        """Ask once; what an assertion or an operation refuses is not yet so, and any other error is raised."""
        self.error = None
        try:
            found = self._ask()
            self.value = await found if inspect.isawaitable(found) else found
        except (AssertionError, CallError, Fault) as error:
            self.error = error
            return False
        return bool(self.value) if self._expected is TRUE else bool(self.value == self._expected)

    def told(self) -> str:
        """What the last answer was, and what it should have been."""
        if self.error is not None:
            return f"at last it raised {type(self.error).__name__}: {self.error}"
        if self._expected is not TRUE:
            return f"at last it was {self.value!r}, not {self._expected!r}"
        hint = "; a function that asserts returns True at its end" if self.value is None else ""
        return f"at last it was {self.value!r}, which is not true{hint}"


class Surroundings(Protocol):
    """Where a probe is asked: time passes there, and something may still be to come."""

    async def rests(self) -> bool:
        """Whether nothing happens until time passes; what happens gets a moment for it."""
        ...

    async def passes(self, until: float) -> None:
        """Let some time pass, at most until that time of the machine's steady clock."""
        ...

    async def pending(self) -> list[str]:
        """What is still to come, in words."""
        ...

    async def failed(self) -> list[str]:
        """What no time brings on any more, in words."""
        ...

    def passed(self) -> str:
        """How much time has passed beside the machine's."""
        ...


async def eventually(probe: Probe, around: Surroundings, timeout: float) -> Any:  # noqa: ASYNC109 - whoever runs out of time is told what is left
    """The probe's value as soon as it holds; raises AssertionError when the time is over."""
    until = monotonic() + timeout
    while not await probe.holds():
        if monotonic() >= until:
            left = "; ".join(await around.pending()) or "nothing"
            text = f"not so after {timeout:g} s{around.passed()}: {probe.told()}. Still to come: {left}"
            if failed := await around.failed():
                text += f". Failed: {'; '.join(failed)}"
            raise AssertionError(text) from probe.error
        # Asked again where all is at rest: what ended while that was looked at may be what is waited for.
        if await around.rests() and not await probe.holds():
            await around.passes(until)
    return probe.value


class Here:
    """Services of this process. A ManualClock is moved to the next time for which anything waits, `within` seconds at
    most, whenever nothing else happens.
    """

    def __init__(self, instances: Sequence[ServiceInstance], recording: Recording, clock: Clock, within: float) -> None:
        self._instances = instances
        self._recording = recording
        self._clock = clock
        self._started = clock.steady()
        self._within = within
        self._waited_for: set[AnyCall] = set()  # calls that have had their time

    async def rests(self) -> bool:
        """Whether nothing happens until the clock is moved; one that runs by itself need not be waited for."""
        if not isinstance(self._clock, ManualClock) or await self._is_quiet():
            return True
        await asyncio.sleep(MOMENT)
        return False

    async def passes(self, until: float) -> None:
        """Move the clock to the next time for which anything waits, or let it run for a moment."""
        if not isinstance(self._clock, ManualClock):
            await asyncio.sleep(max(0.0, min(AGAIN, until - monotonic())))
            return
        seconds = self._clock.next_wake
        if seconds is None or self._clock.steady() - self._started + seconds > self._within:
            await asyncio.sleep(AGAIN)  # the rest needs no time, or more than it gets
        else:
            await self._clock.advance(seconds)

    async def pending(self) -> list[str]:
        """Events, sagas and where they stand."""
        kept = [each.storage for each in self._instances if each.storage is not None]
        return [line for each in kept for line in [*await left_in(each), *await _sagas_in(each, "waiting")]]

    async def failed(self) -> list[str]:
        """Sagas that are parked or failed, and dead letters."""
        kept = [each.storage for each in self._instances if each.storage is not None]
        found = []
        for each in kept:
            found += [*await _sagas_in(each, "parked", "failed"), *await _dead_letters_of(each, self._clock)]
        return found

    def passed(self) -> str:
        """How far the clock was moved."""
        if not isinstance(self._clock, ManualClock):
            return ""
        moved = self._clock.steady() - self._started
        return f" and {moved:g} of at most {self._within:g} s of the clock, which stands at {moment(self._clock.now())}"

    async def _is_quiet(self) -> bool:
        """Whether nothing happens until time passes."""
        before = self._recording.revision
        await asyncio.sleep(0)
        for each in self._instances:
            if each.storage is not None:
                each.storage.hurry()
                if await each.storage.is_overdue():  # asks the database, so that others had their turn
                    return False
        if any(each.is_busy for each in self._instances) or self._recording.revision != before:
            return False
        if not self._recording.under_way <= self._waited_for:
            self._waited_for = set(self._recording.under_way)
            await asyncio.sleep(PATIENCE)
            return False
        return True


async def _sagas_in(storage: ServiceStorage, *states: str) -> list[str]:
    """The sagas in some states, each with its last step, and why."""
    from meristem.sagas.administration import SagaStore  # noqa: PLC0415 - SQLAlchemy is for systems that keep something
    from meristem.sagas.records import SagaState  # noqa: PLC0415

    told = []
    store = SagaStore(storage.database)
    for state in states if storage.has_sagas else ():
        for saga in await store.list(SagaState(state), limit=SHOWN):
            steps = (await store.show(saga.id)).steps
            at = f" at {steps[-1].name}" if steps else ""
            until = "" if saga.wake_at is None else f" until {moment(saga.wake_at)}"
            reason = saga.problem or saga.error
            why = f" ({reason})" if reason else ""
            told.append(f"saga {saga.name} {saga.id} of {storage.name} is {state}{at}{until}{why}")
    return told


async def _dead_letters_of(storage: ServiceStorage, clock: Clock) -> list[str]:
    from meristem.events.dead_letters import DeadLetters  # noqa: PLC0415 - as above

    letters = await DeadLetters(storage.database, clock).list(count=SHOWN)
    return [f"a dead letter of {each.subscriber}: {each.type} of {storage.name} ({each.error})" for each in letters]
