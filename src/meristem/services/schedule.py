"""Work that a service does again and again: `@every(seconds=5.0)`."""

from __future__ import annotations

import asyncio
import inspect
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from meristem.backoff import ceiling
from meristem.context import Context, using
from meristem.contracts.bounds import Seconds, wrong
from meristem.errors import StorageError, WiringError
from meristem.failure_log import log_failure
from meristem.lifecycle import Background
from meristem.log_positions import PRIMARIES
from meristem.services.method_trials import MethodTrials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from meristem.clock import Clock
    from meristem.services.method_trials import RunCounts

logger = logging.getLogger(__name__)
_GRACE: Final = 25.0  # seconds for runs under way: the drain of a process takes 30, and deliveries come after these
_LONGEST: Final = 60.0  # seconds between two runs that fail, of a job that would run more often
Job = TypeVar("Job", bound="Callable[[Any], Awaitable[None]]")


class ScheduledMethod(NamedTuple):
    """How often a method runs, in seconds after it last ended, and whether each replica runs it."""

    seconds: float
    each: bool


class Duties(Protocol):
    """What lets one replica do what only one may do; the service's lease is it. `freed` are told when one has died."""

    freed: list[Callable[[], None]]

    async def run_alone(self, duty: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` if this replica has the duty."""
        ...

    async def inherit(self, duty: str) -> bool:
        """Take the duty of a replica that has died; False where nobody had it, or one has it that lives."""
        ...


def every(seconds: float, *, each: bool = False) -> Callable[[Job], Job]:
    """Run a service's method without parameters again and again, `seconds` after it last ended.

    Of several replicas one runs it, by a lease in the service's database. When that dies or hangs, another one takes
    over, and runs it as soon as that is noticed; what a run writes then that has lost the lease is rolled back.
    With `each=True` every replica runs it. A run that fails is logged and the next one is made all the same; while
    one after the other fails, the wait doubles up to a minute, if `seconds` aren't more than that themselves. One that
    ends its process five times in a row is not run any more until the process is stopped in order.
    """

    def declare(job: Job) -> Job:
        problem = wrong("seconds", seconds, Seconds)
        if problem is not None:
            raise WiringError(f"@every on {job.__qualname__}: {problem}")
        fits = inspect.iscoroutinefunction(job) and len(inspect.signature(job).parameters) == 1
        if not fits:
            raise WiringError(f"@every on {job.__qualname__}: it must be `async def {job.__name__}(self) -> None`")
        job.__scheduled__ = ScheduledMethod(seconds, each)  # type: ignore[attr-defined]
        return job

    return declare


def scheduled(service: type) -> dict[str, ScheduledMethod]:
    """A service's periodic methods, by name."""
    members = inspect.getmembers(service, inspect.isfunction)
    return {name: member.__scheduled__ for name, member in members if hasattr(member, "__scheduled__")}


def needs_lease(service: type) -> bool:
    """Whether one replica must be chosen for a method, which takes a database."""
    return not all(method.each for method in scheduled(service).values())


class Tallies(NamedTuple):
    """Where the ends of processes are counted: within what one replica runs, and within what each one runs."""

    alone: RunCounts | None = None
    each: RunCounts | None = None


class Schedule:
    """Runs the periodic methods of one service; `turn` is that of all in the process that is tried alone."""

    def __init__(
        self,
        name: str,
        service: object,
        clock: Clock,
        duties: Duties | None,
        tallies: Tallies = Tallies(),  # noqa: B008 - it never changes
        turn: asyncio.Lock | None = None,
    ) -> None:
        self.trials = MethodTrials(name, turn or asyncio.Lock())
        self._tallies = tallies
        self._name = name
        self._service = service
        self._clock = clock
        self._duties = duties
        self._background = Background(name)
        self._runs: dict[asyncio.Task[Any], str] = {}  # that are under way, by the tasks that repeat them
        self._draining = False
        self._freed: set[asyncio.Event] = set()  # of each method that another replica may have had

    async def start(self) -> None:
        if self._duties is not None:
            self._duties.freed.append(self._wake)
        for name, method in scheduled(type(self._service)).items():
            self._background.spawn(self._repeat(name, getattr(self._service, name), method), name)

    async def drain(self) -> None:
        """Begin no further run, and let those that are under way end."""
        self._draining = True
        self.trials.drain()
        if self._runs:
            await asyncio.wait(self._runs, timeout=_GRACE)
        for name in self._runs.values():
            logger.warning("%s.%s has not ended after %g s, and is cancelled", self._name, name, _GRACE)

    async def stop(self) -> None:
        """Cancel what still runs."""
        if self._duties is not None and self._wake in self._duties.freed:
            self._duties.freed.remove(self._wake)
        await self._background.stop()
        await self.trials.stop()

    @property
    def is_busy(self) -> bool:
        """Whether a run is under way."""
        return bool(self._runs)

    async def _repeat(self, name: str, job: Callable[[], Coroutine[Any, Any, None]], method: ScheduledMethod) -> None:
        task: Any = asyncio.current_task()
        wait, failures = method.seconds, 0
        counts = self._tallies.each if method.each else self._tallies.alone
        run = job
        if counts is not None:
            run = partial(self.trials.run, self._duty(name), counts, job)
            self._background.spawn(self.trials.recall(self._duty(name), counts), f"crashes of {name}")
        while not self._draining:
            await self._pause(name, method, wait)
            if self._draining:  # it has begun during the sleep
                return
            self._runs[task] = name
            try:
                # Nobody asked for this run: no user, deadline or trace of what started the service stands behind it.
                with using(Context(caller=self._name, positions=PRIMARIES)):
                    if method.each or self._duties is None:
                        await run()
                    else:
                        await self._duties.run_alone(self._duty(name), run)
                wait, failures = method.seconds, 0
            except Exception as error:  # one failed run must not end the job
                failures += 1
                wait = ceiling(failures, method.seconds, max(method.seconds, _LONGEST))
                log_failure(logger, error, "%s.%s failed; it runs again in %g s", self._name, name, wait)
            finally:
                del self._runs[task]

    async def _pause(self, name: str, method: ScheduledMethod, seconds: float) -> None:
        """Wait for the next run; the one that another replica left by its death is due at once."""
        duties = self._duties
        if method.each or duties is None:
            await self._clock.sleep(seconds)
            return
        freed = asyncio.Event()
        self._freed.add(freed)
        slept = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            while not slept.done():
                freed.clear()
                woken = asyncio.ensure_future(freed.wait())
                await asyncio.wait({slept, woken}, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                if freed.is_set() and await self._inherits(duties, name):
                    return
        finally:
            self._freed.discard(freed)
            slept.cancel()

    async def _inherits(self, duties: Duties, name: str) -> bool:
        try:
            return await duties.inherit(self._duty(name))
        except StorageError as error:  # the next run asks again
            log_failure(logger, error, "%s.%s: whether a dead replica had it could not be read", self._name, name)
            return False

    def _duty(self, name: str) -> str:
        return f"{self._name}.{name}"

    def _wake(self) -> None:
        for each in self._freed:
            each.set()
