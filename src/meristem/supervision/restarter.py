"""Keeps one replica or program alive: starts it, waits until it is ready, starts it again when it dies."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError
from meristem.lifecycle import first_of
from meristem.supervision.child import Child
from meristem.supervision.probation import Probation
from meristem.supervision.restartable import FAILING, RUNNING, Restartable, RunState, StartError
from meristem.supervision.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.supervision.restarts import Restarts

PROBE: Final = 0.05  # seconds between two questions whether it is ready
SHORT: Final = 1.0  # seconds of a pause for which callers wait rather than being refused
WRONG: Final = (1, 2)  # exit codes of a program that is written or called wrongly: starting it again can't help
EX_TEMPFAIL: Final = 75  # sysexits.h: it may go well another time
CRASHES: Final = 3  # of what was never ready, and says nothing by its exit code


class Restarter:
    """Keeps one part alive between `start` and `stop`; `say` gets lines about it, `wrote` those that it writes.

    `relieved` tells whether others do its work while it is away; else those who call it wait for a short while.
    """

    def __init__(
        self,
        restartable: Restartable,
        restarts: Restarts,
        *,
        wrote: Callable[[str, bytes], None],
        say: Callable[[str], None],
        changed: Callable[[Restarter], None],
        relieved: Callable[[], bool] = lambda: False,
    ) -> None:
        self.restartable = restartable
        self.state = RunState.STOPPED
        self.since = time.time()
        self.restarts = 0
        self._policy = restarts
        self._wrote = wrote
        self._say = say
        self._changed = changed
        self._relieved = relieved
        self._child: Child | None = None
        self._living: set[Child] = set()  # more than one while one succeeds another
        self._generation = 0
        self._born = 0
        self._probation = Probation(restarts.probation, self._come_back)
        self._was_ready = False
        self._ready_at = self._begun = 0.0
        self._ready = asyncio.Event()
        self._settled = asyncio.Event()  # cleared while a successor gets ready
        self._settled.set()
        self._planned: asyncio.Future[None] | None = None  # done when the restart that was asked for is ready
        self._closing = False
        self._restarting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._watchdog = Watchdog(
            restarts.hung,
            running=lambda: self._child if self.state in RUNNING else None,
            lives=restartable.lives,
            heard=self._heard,
            say=lambda what: say(f"{restartable.label}: {what}"),
            silence=lambda: restartable.silence,
        )
        self._replacing = asyncio.Lock()

    @property
    def status(self) -> str:
        """Its state, as people are told: what ends again and again is failing until it has been ready for a while."""
        is_well = self.state in RUNNING and not self._probation.is_on
        return FAILING if self._probation.is_failing and not is_well else self.state.value

    @property
    def pid(self) -> int | None:
        """The process id of what runs now."""
        return None if self._child is None else self._child.pid

    @property
    def pids(self) -> frozenset[int]:
        """The process ids of all that it keeps: more than one while one succeeds another."""
        return frozenset(child.pid for child in self._living if child.pid is not None)

    async def start(self) -> None:
        """Return when it is ready; raises StartError when it ended by its own fault or was not ready in time."""
        loop, label = asyncio.get_running_loop(), self.restartable.label
        self._begun = loop.time()
        self._restarting = loop.create_task(self._run(), name=f"run {label}")
        self._watching = loop.create_task(self._watchdog.run(), name=f"watch {label}")
        waiting = asyncio.ensure_future(self._ready.wait())
        try:
            await asyncio.wait({self._restarting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._restarting.done():
            await self._restarting

    async def stop(self, grace: float | None = None) -> None:
        """End it; it has `grace` seconds before it is made to."""
        self._closing = True
        self._probation.cancel()
        if self._watching is not None:
            self._watching.cancel()
        await self._end_all(self._policy.grace if grace is None else grace)
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.wait({self._restarting})
            if not self._restarting.cancelled():
                self._restarting.exception()  # `start` has raised it
        await self._end_all(0)
        self.restartable.dismiss(self._generation)
        self._enter(RunState.STOPPED)

    async def _end_all(self, grace: float) -> None:
        await asyncio.gather(*(child.end(grace) for child in self._living))
        self._living = {child for child in self._living if not child.ended.is_set()}

    def kill(self) -> None:
        """End it at once; `stop` is then quick."""
        self._closing = True
        for child in self._living:
            child.kill()

    async def replace(self, *, beside: bool) -> None:
        """Start it anew: the successor `beside` its predecessor, or after it.

        Raises StartError when the new one is not ready; with `beside` the old one then goes on.
        """
        async with self._replacing:
            if self.state in RUNNING and not self._closing:
                await (self._succeed() if beside else self._restart())

    async def _restart(self) -> None:
        assert self._child is not None
        self._planned = asyncio.get_running_loop().create_future()
        try:
            if self._relieved():
                self.restartable.withdraw(self._generation)
            await self._child.end(self._policy.grace)
            await self._planned
        finally:
            self._planned = None

    async def _succeed(self) -> None:
        old, former = self._child, self._generation
        assert old is not None
        self._settled.clear()
        try:
            child, generation = self._bear(successor=True)
            await self._admitted(child, generation)
            self._child, self._generation = child, generation
            self._ready_at = time.monotonic()
            self._enter(RunState.READY)
        finally:
            self._settled.set()
        await old.end(self._policy.grace)
        self._living.discard(old)
        self._changed(self)
        self.restartable.dismiss(former)

    async def _admitted(self, child: Child, generation: int) -> None:
        """Start a successor and let others find it, or leave nothing of it."""
        ready = False
        try:
            await child.start()
            self._changed(self)
            ready = await self._until_ready(child, generation)
        finally:
            if not ready:
                await child.end(0)
                self._living.discard(child)
                self.restartable.dismiss(generation)
        if not ready:
            raise StartError(self._failed(child), lasting=child.code in WRONG)
        self.restartable.admit(generation)

    def _bear(self, *, successor: bool) -> tuple[Child, int]:
        self._born += 1
        child = Child(self.restartable.command(self._born, successor=successor), self._line)
        self._living.add(child)
        return child, self._born

    async def _run(self) -> None:
        while not self._closing:
            await self._begin()
            while True:
                child = self._child
                assert child is not None
                await child.ended.wait()
                await self._settled.wait()
                if self._child is child:  # else it has been replaced
                    break
            await self._ended(child)

    def _heard(self, lives: bool) -> None:
        self._enter(RunState.READY if lives else RunState.SILENT)

    async def _begin(self) -> None:
        """Start it once; afterwards it is ready or has ended."""
        self._child, self._generation = child, generation = self._bear(successor=False)
        self._enter(RunState.STARTING)
        try:
            await child.start()
        except ConfigurationError as error:
            self._never(child, f"{self.restartable.label}: {error}", lasting=True)
            child.ended.set()
            return
        self._changed(self)  # it has a pid now
        if await self._until_ready(child, generation):
            self.restartable.admit(generation)
            self._probation.ready()
            self._was_ready = True
            self._ready_at = time.monotonic()
            self._enter(RunState.READY)
            self._ready.set()
            if self._planned is not None and not self._planned.done():
                self._planned.set_result(None)
        elif not child.ended.is_set():
            await child.end(0)
            patience = self._policy.patience
            self._never(
                child, f"{self.restartable.label} was not ready within {patience:g} s; it wrote:\n{_last(child)}"
            )

    def _come_back(self) -> None:
        self._say(f"{self.restartable.label} is ready again")
        self._changed(self)

    def _never(self, child: Child, problem: str, *, lasting: bool = False) -> None:
        """What could not start at the first attempt fails; later, it is said and tried again."""
        if not self._was_ready:
            self._living.discard(child)
            raise StartError(problem, lasting=lasting)
        self._say(problem)

    async def _until_ready(self, child: Child, generation: int) -> bool:
        """Wait for readiness; False when the child has ended or time is over."""
        # Beside its end: in a socket that outlives its processes the question waits as those of all callers do.
        asking = asyncio.get_running_loop().create_task(self._answers(generation))
        await first_of(asking, child.ended.wait(), timeout=self._policy.patience)
        return not asking.cancelled()

    async def _answers(self, generation: int) -> None:
        while not await self.restartable.ready(generation):  # noqa: ASYNC110 - another process gets ready
            await asyncio.sleep(PROBE)

    async def _ended(self, child: Child) -> None:
        """Decide what follows an end: nothing, an immediate start, or one after a while."""
        self._living.discard(child)
        lived = time.monotonic() - self._ready_at if self.state in RUNNING else 0.0
        was = self.state
        self._probation.cancel()
        self._ready.clear()
        if self._closing:
            self.restartable.dismiss(self._generation)
            return
        if not self._was_ready:
            self._give_up(child)
        delay = 0.0
        if self._planned is None or self._planned.done() or was not in RUNNING:
            delay = self._after_failure(child, lived)
        # Before the pause: a call that is refused now would be served within its deadline.
        if delay > SHORT or self._relieved():
            self.restartable.dismiss(self._generation)
        else:
            self.restartable.hold(self._generation)
        await asyncio.sleep(delay)

    def _after_failure(self, child: Child, lived: float) -> float:
        """Seconds to wait before it is started again."""
        if self._planned is not None and not self._planned.done():
            self._planned.set_exception(StartError(self._failed(child), lasting=child.code in WRONG))
        self.restarts += 1
        self._probation.ended(anew=lived >= self._policy.calm)
        delay, often = self._policy.delay(self._probation.failures), self._probation.told()
        self._say(f"{self.restartable.label} ended ({child.end_told()}){often}; it is started again in {delay:.1f} s")
        self._enter(RunState.WAITING)
        return delay

    def _give_up(self, child: Child) -> None:
        """Raise StartError when starting again what was never ready cannot help any more."""
        loop = asyncio.get_running_loop()
        passes = child.code == EX_TEMPFAIL
        if child.code in WRONG or (not passes and self._probation.failures + 1 >= CRASHES):
            raise StartError(self._failed(child), lasting=True)
        if passes and loop.time() - self._begun >= self._policy.patience:
            raise StartError(self._failed(child))

    def _failed(self, child: Child) -> str:
        return (
            f"{self.restartable.label} could not start ({child.end_told()}); mend what it wrote last, and run "
            f"again:\n{_last(child)}"
        )

    def _line(self, line: bytes) -> None:
        self._wrote(self.restartable.label, line)

    def _enter(self, state: RunState) -> None:
        self.state = state
        self.since = time.time()
        self._changed(self)


def _last(child: Child) -> str:
    return "\n".join(f"  {line}" for line in child.last) or "  (nothing)"
