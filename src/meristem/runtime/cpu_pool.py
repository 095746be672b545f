"""The workers of a service whose operations compute, `@safe(cpu=True)`: they hold up no event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from meristem.backoff import HALF, wait_after
from meristem.context import current
from meristem.errors import CallError, Code, WiringError
from meristem.lifecycle import Background, together
from meristem.runtime.cpu_link import Recipe, Task
from meristem.runtime.cpu_worker import CpuWorker, GoneError
from meristem.services.service import is_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.context import Context
    from meristem.contracts.operation import Operation
    from meristem.services.service import Need, ServiceSpec

logger = logging.getLogger(__name__)
WAITING: Final = 16  # calls for each worker that may wait for it
SOONEST: Final = 0.1  # seconds until a worker that could not start is started again
LATEST: Final = 10.0


class CpuPool:
    """So many workers, one call at a time in each; a call whose time is over has its worker killed and replaced.

    A few calls may wait for a worker; more are refused with `resource_exhausted`, and nothing of them happened.
    """

    def __init__(
        self, spec: ServiceSpec, resolve: Callable[[Need], Any], environment: Mapping[str, str], workers: int
    ) -> None:
        self._name = spec.name
        self._recipe = _recipe(spec, resolve)
        self._environment = environment
        self._idle: asyncio.Queue[CpuWorker] = asyncio.Queue()
        self._all: set[CpuWorker] = set()
        self._count = workers
        self._waiting = 0
        self._stopped = False
        self._renewing = Background(f"workers of {spec.name}")

    @property
    def pids(self) -> frozenset[int]:
        """The process ids of the workers that live."""
        return frozenset(each.pid for each in self._all if each.lives)

    async def start(self) -> None:
        await together(self._add() for _ in range(self._count))

    async def drain(self) -> None:
        """Nothing to do: what is in flight is waited for where it came in."""

    async def stop(self) -> None:
        self._stopped = True
        await self._renewing.stop()
        await asyncio.gather(*(each.kill() for each in self._all))
        self._all.clear()

    async def run(self, operation: Operation, *arguments: Any, **named: Any) -> Any:
        """What the service's method of the operation answers in a worker; raises what it raises.

        Where the caller waits no longer, for its deadline or otherwise, the worker is killed: Python can't interrupt
        what it computes.
        """
        task = Task(operation.name, arguments, named, _carried(current()))
        while True:
            with contextlib.suppress(GoneError):  # another one does it
                return await self._run_on(await self._free(operation), operation, task)

    async def _run_on(self, worker: CpuWorker, operation: Operation, task: Task) -> Any:
        try:
            reply = await worker.run(task)
        except asyncio.CancelledError:
            logger.warning("%s: its caller waits no longer, so its worker %d is replaced", operation.label, worker.pid)
            self._renewing.spawn(self._replace(worker), "replace")
            raise
        except BaseException:
            self._give_back(worker)
            raise
        self._give_back(worker)
        return reply

    async def _free(self, operation: Operation) -> CpuWorker:
        if self._idle.empty() and self._waiting >= WAITING * self._count:
            text = f"{operation.label}: all {self._count} workers are at work, and {self._waiting} calls wait for them"
            raise CallError(Code.RESOURCE_EXHAUSTED, text, may_have_happened=False)
        self._waiting += 1
        try:
            while not (worker := await self._idle.get()).lives:
                self._renewing.spawn(self._replace(worker), "replace")
        finally:
            self._waiting -= 1
        return worker

    def _give_back(self, worker: CpuWorker) -> None:
        if worker.lives:
            self._idle.put_nowait(worker)
        else:
            self._renewing.spawn(self._replace(worker), "replace")

    async def _replace(self, worker: CpuWorker) -> None:
        await worker.kill()
        self._all.discard(worker)
        attempt = 0
        while not self._stopped:
            attempt += 1
            try:
                await self._add()
            except Exception:  # whatever it is: calls wait for a worker, or are refused, until one starts
                logger.exception("%s: a worker could not start", self._name)
                await asyncio.sleep(wait_after(attempt, SOONEST, LATEST, HALF))
            else:
                return

    async def _add(self) -> None:
        worker = CpuWorker(self._name, self._recipe, self._environment)
        await worker.start()
        self._all.add(worker)
        self._idle.put_nowait(worker)


def workers_of(wanted: int | None, processors: float | None) -> int:
    """How many workers a process has: as many as are wanted, else one for each processor that it may use."""
    if wanted is not None:
        return wanted
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable if processors is None else min(usable, round(processors)))


def _recipe(spec: ServiceSpec, resolve: Callable[[Need], Any]) -> Recipe:
    cls = spec.implementation
    try:
        found = attrgetter(cls.__qualname__)(import_module(cls.__module__))
    except (ImportError, AttributeError):
        found = None
    if found is not cls or cls.__module__ == "__main__":
        raise WiringError(
            f"{cls.__name__}: its workers import it from {cls.__module__}, where it can't be found by the name "
            f"{cls.__qualname__}; define it at the top of a module"
        )
    settings = {need.type: resolve(need) for need in spec.all_needs() if is_settings(need.type)}
    return Recipe(cls.__module__, cls.__qualname__, settings, logging.getLogger().getEffectiveLevel())


def _carried(context: Context) -> dict[str, Any]:
    """The fields of a context that mean something in another process."""
    trace = None if context.trace is None else context.trace.ids()
    return {
        "deadline": context.deadline,  # the clock of the machine, which is one for all its processes
        "trace": trace,
        "caller": context.caller,
        "user": context.user,
        "baggage": context.baggage,
        "key": context.key,
        "place": context.place,
    }
