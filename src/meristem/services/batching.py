"""Many calls as one piece of work: `@batched(max_size=32)`, for what does more at once for little more.

The method is called by one item and works on several; what surrounds each item stays its own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, overload

from meristem.context import Context, current, using
from meristem.errors import CallError, Fault, MisuseError, WiringError
from meristem.log_positions import together

if TYPE_CHECKING:
    from typing import Self

Item = TypeVar("Item")
Result = TypeVar("Result")
LONGEST_WAIT: Final = 60.0  # seconds
AT_WORK: Final[ContextVar[frozenset[object]]] = ContextVar("AT_WORK", default=frozenset())  # batches around this call


class Batch(list[Item]):
    """The items of one batch; `contexts` has what surrounds each of them: its user, its deadline, its trace."""

    def __init__(self, items: Iterable[Item], contexts: Iterable[Context]) -> None:
        super().__init__(items)
        self.contexts = tuple(contexts)


def batched(*, max_size: int, max_wait: float = 0.005) -> BatchedBy:
    """Let a service's method work on several items at once, though it is called with one: `await self._scores(text)`.

    The method takes a list of items and returns a list with the result of each, in their order; an error among the
    results is raised to the caller of its item alone. One batch runs at a time, of up to `max_size` items; the first
    item waits `max_wait` seconds for others, those that come while a batch runs only for its end. A method that is
    `def` and not `async def` runs in a thread, so that a model does not hold up the event loop.

    A batch that waits for its own method, which runs after it alone, is refused by a MisuseError. An item whose caller
    waits no longer is left out. A Fault or CallError that the method raises is for all; after any
    other error each item is tried once more alone, so that a bad one fails by itself: the method must bear being
    called again. Raises WiringError for sizes and times that make no sense.
    """
    if not isinstance(max_size, int) or max_size < 1:
        raise WiringError(f"@batched: max_size={max_size!r} must be at least 1")
    if not 0 <= max_wait <= LONGEST_WAIT:
        raise WiringError(f"@batched: max_wait={max_wait!r} is in seconds, 0 to {LONGEST_WAIT:g}")
    return BatchedBy(max_size, max_wait)


class BatchedBy:
    """The decorator that `batched` gives."""

    def __init__(self, max_size: int, max_wait: float) -> None:
        self.max_size = max_size
        self.max_wait = max_wait

    @overload
    def __call__(
        self, method: Callable[[Any, list[Item]], Awaitable[Sequence[Result | Exception]]]
    ) -> BatchedMethod[Item, Result]: ...

    @overload
    def __call__(
        self, method: Callable[[Any, list[Item]], Sequence[Result | Exception]]
    ) -> BatchedMethod[Item, Result]: ...

    def __call__(self, method: Callable[[Any, list[Any]], Any]) -> BatchedMethod[Any, Any]:
        return BatchedMethod(method, self)


class BatchedMethod(Generic[Item, Result]):
    """A method that works on several items, to those who call it with one."""

    def __init__(self, method: Callable[[Any, list[Item]], Any], by: BatchedBy) -> None:
        self._method = method
        self._by = by
        self._name = method.__name__
        self.__doc__ = method.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Callable[[Item], Coroutine[Any, Any, Result]]: ...

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        kept = getattr(instance, "__dict__", None)
        if kept is None:
            raise WiringError(f"{owner.__name__}.{self._name}: @batched keeps what waits with the object: no slots")
        name = f"_batches of {self._name}"
        if name not in kept:
            kept[name] = _PerLoop(f"{owner.__name__}.{self._name}", partial(self._method, instance), self._by)
        return kept[name].submit


class _Entry(NamedTuple):
    """An item that waits, or is worked on."""

    item: Any
    context: Context
    result: asyncio.Future[Any]


class _PerLoop:
    """The batches of one method of one object: what waits, and the timer, belong to an event loop and end with it."""

    def __init__(self, label: str, method: Callable[[list[Any]], Any], by: BatchedBy) -> None:
        self._make = partial(_Batches, label, method, by)
        self._by_loop: dict[asyncio.AbstractEventLoop, _Batches] = {}

    async def submit(self, item: Any) -> Any:
        """The result of one item."""
        loop = asyncio.get_running_loop()
        if (batches := self._by_loop.get(loop)) is None:
            for ended in [each for each in tuple(self._by_loop) if each.is_closed()]:
                self._by_loop.pop(ended, None)
            batches = self._by_loop[loop] = self._make()
        return await batches.submit(item)


class _Batches:
    """What waits in one event loop."""

    def __init__(self, label: str, method: Callable[[list[Any]], Any], by: BatchedBy) -> None:
        self._label = label
        self._method = method
        self._by = by
        self._is_async = inspect.iscoroutinefunction(method)
        self._waiting: list[_Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._batch: object = None  # what is worked on

    async def submit(self, item: Any) -> Any:
        """The result of one item."""
        if self._batch in AT_WORK.get():
            raise MisuseError(f"{self._label} waits for itself: its next batch begins when this one has ended")
        loop = asyncio.get_running_loop()
        entry = _Entry(item, current(), loop.create_future())
        self._waiting.append(entry)
        if self._running is None:
            if len(self._waiting) >= self._by.max_size:
                self._begin()
            elif self._timer is None:
                self._timer = loop.call_later(self._by.max_wait, self._begin)
        return await entry.result

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running is None and self._waiting:
            run = self._run()
            self._running = asyncio.get_running_loop().create_task(run, name=f"batch {self._label}")

    async def _run(self) -> None:
        try:
            while self._waiting:
                entries, self._waiting = self._waiting[: self._by.max_size], self._waiting[self._by.max_size :]
                await self._work_on([each for each in entries if not each.result.done()])
        except asyncio.CancelledError:  # the event loop ends
            for each in self._waiting:
                each.result.cancel()
            self._waiting = []
            raise
        finally:
            self._running = None

    async def _work_on(self, entries: list[_Entry]) -> None:
        if not entries:
            return
        try:
            results = await self._results(entries)
        except (Fault, CallError) as error:
            results = [error] * len(entries)
        except asyncio.CancelledError:
            for each in entries:
                each.result.cancel()
            raise
        except Exception as error:  # a boundary: each caller is told
            if len(entries) > 1:
                for each in entries:
                    await self._work_on([] if each.result.done() else [each])
                return
            results = [error]
        for entry, result in zip(entries, results, strict=True):
            if not entry.result.done():  # else its caller has gone meanwhile
                self._answer(entry, result)

    def _answer(self, entry: _Entry, result: Any) -> None:
        if isinstance(result, StopIteration | asyncio.CancelledError):  # no error that a future can tell
            entry.result.set_exception(RuntimeError(f"{self._label} has {result!r} among its results"))
        elif isinstance(result, BaseException):
            entry.result.set_exception(result)
        else:
            entry.result.set_result(result)

    async def _results(self, entries: list[_Entry]) -> Sequence[Any]:
        batch = Batch([each.item for each in entries], [each.context for each in entries])
        self._batch = object()
        before = AT_WORK.set(AT_WORK.get() | {self._batch})
        try:
            with using(_around(batch.contexts)):
                found = await self._called(batch)
        finally:
            AT_WORK.reset(before)
            self._batch = None
        if not hasattr(found, "__len__"):
            raise MisuseError(f"{self._label} must return a list of results, and returned {type(found).__name__}")
        results: Sequence[Any] = found
        if len(results) != len(entries):
            raise MisuseError(f"{self._label} was given {len(entries)} items and returned {len(results)} results")
        return results

    async def _called(self, batch: Batch[Any]) -> Any:
        if not self._is_async:
            return await asyncio.get_running_loop().run_in_executor(None, copy_context().run, self._caught, batch)
        try:
            return await self._method(batch)
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            # Of something that the method has waited for: its callers were not cancelled.
            raise RuntimeError(f"{self._label} waited for what was cancelled") from error

    def _caught(self, batch: Batch[Any]) -> Any:
        try:
            return self._method(batch)
        except (StopIteration, asyncio.CancelledError) as error:  # no future can tell these from its own end
            raise RuntimeError(f"{self._label} raised {type(error).__name__}") from error


def _around(contexts: Sequence[Context]) -> Context:
    """What surrounds a batch: it may take as long as the last caller waits, in the trace of the first, for no user."""
    deadlines = [each.deadline for each in contexts]
    latest = None if None in deadlines else max(each for each in deadlines if each is not None)
    positions = together(each.positions for each in contexts)
    return Context(latest, contexts[0].trace, place=contexts[0].place, positions=positions)
