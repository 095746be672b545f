"""Work that a service does again and again: `@every(seconds=5.0)`."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from meristem.context import Context, using
from meristem.contracts.bounds import Seconds, wrong
from meristem.errors import WiringError
from meristem.lifecycle import Background

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.clock import Clock

logger = logging.getLogger(__name__)
Job = TypeVar("Job", bound="Callable[[Any], Awaitable[None]]")


def every(seconds: float) -> Callable[[Job], Job]:
    """Run a service's method without parameters again and again, `seconds` after it last ended.

    A run that fails is logged and the next one is made all the same.
    """

    def declare(job: Job) -> Job:
        problem = wrong("seconds", seconds, Seconds)
        if problem is not None:
            raise WiringError(f"@every on {job.__qualname__}: {problem}")
        fits = inspect.iscoroutinefunction(job) and len(inspect.signature(job).parameters) == 1
        if not fits:
            raise WiringError(f"@every on {job.__qualname__}: it must be `async def {job.__name__}(self) -> None`")
        job.__interval__ = seconds  # type: ignore[attr-defined]
        return job

    return declare


def jobs_of(service: type) -> dict[str, float]:
    """The names of a service's periodic methods and their intervals in seconds."""
    members = inspect.getmembers(service, inspect.isfunction)
    return {name: member.__interval__ for name, member in members if hasattr(member, "__interval__")}


class Schedule:
    """Runs the periodic methods of one service."""

    def __init__(self, name: str, service: object, clock: Clock) -> None:
        self._name = name
        self._service = service
        self._clock = clock
        self._background = Background(name)
        self._draining = False

    async def start(self) -> None:
        for name, seconds in jobs_of(type(self._service)).items():
            self._background.spawn(self._repeat(name, getattr(self._service, name), seconds), name)

    async def _repeat(self, name: str, job: Callable[[], Awaitable[None]], seconds: float) -> None:
        while not self._draining:
            await self._clock.sleep(seconds)
            try:
                with using(Context(caller=self._name)):
                    await job()
            except Exception:  # one failed run must not end the job
                logger.exception("%s.%s failed; it runs again in %g s", self._name, name, seconds)

    async def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        await self._background.stop()
