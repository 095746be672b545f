"""Records what a system does for its tests: what they call, what is answered, what becomes of it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Fault, MisuseError
from meristem.testing.divided.recorded import Happenings, PlacedTest, RecordedCall, StayedTest
from meristem.testing.elsewhere import samples
from meristem.testing.published import plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from types import FrameType

    from meristem.contracts.call import Call, Handler, Middleware
    from meristem.contracts.operation import Operation
    from meristem.testing.app import RunningSystem
    from meristem.testing.divided.recorded import RecordWriter
    from meristem.testing.watching import Where

WITHIN: Final[ContextVar[bool]] = ContextVar("meristem.divided", default=False)
"""Whether the running code is the system's: it began within a call of the test's, or as the system started."""

OURS: Final = str(Path(__file__).parents[2])
SETTLING: Final = 10.0  # seconds for what a test left under way
LABELLED: Final = {  # what is counted of a system, by what its figures are called
    "meristem_events_published_total": "{type} published",
    "meristem_events_dead_lettered_total": "{type} a dead letter of {subscriber}",
    "meristem_sagas_ended_total": "saga {saga} {state}",
}
PASSING: Final = "waiting"  # how often a saga pauses is a matter of time


class CallRecorder:
    """Watches the systems of a run of tests that all run `where`; `skip` ends a test that can't."""

    def __init__(self, where: Where, writer: RecordWriter, skip: Callable[[str], object]) -> None:
        self.test = ""
        self._where: Where = where
        self._writer = writer
        self._skip = skip
        self._clock = 0
        self._calls = 0
        self._blocks = 0
        self._before: dict[int, dict[str, float]] = {}

    def next_test(self, name: str) -> None:
        """What is recorded from now on belongs to this test."""
        self.test, self._calls, self._blocks = name, 0, 0

    def place(self, *, find: Callable[[], object], bound: str | None) -> Where:
        """Where this run places its systems; a test that can't be moved there is skipped, with the reason."""
        if self._where == "processes":
            if bound is not None:
                self._leave(f"`{bound}` lives in the test's own process")
            try:
                find()
            except MisuseError as nameless:
                self._leave(str(nameless))
        self._writer.write(PlacedTest(self.test))
        return self._where

    def _reaches(self, how: str, _: object) -> None:
        self._leave(f"it reaches by {how} into a service, which is in another process")

    def _leave(self, reason: str) -> None:
        self._writer.write(StayedTest(self.test, reason))
        self._skip(reason)

    def chosen(self, where: Where) -> None:
        """A test that chooses by itself is the same in all placements."""
        self._writer.write(StayedTest(self.test, f"it chooses where={where!r} by itself"))

    def outgoing(self, operation: Operation) -> Sequence[Middleware]:
        """Records each call of the operation that the test makes."""

        def around(handler: Handler) -> Handler:
            def watched(call: Call) -> Any:
                if WITHIN.get() or call.context.caller is not None:
                    return handler(call)
                # Here, not in the coroutine: the test's line is on the stack as long as it has awaited nothing.
                made = self._begin(operation, call, sys._getframe(1))  # noqa: SLF001 - the only way to the caller's line
                return self._follow(operation, handler, call, made)

            return watched

        return [around]

    @contextmanager
    def starting(self) -> Iterator[None]:
        """What begins in here is the system's own."""
        token = WITHIN.set(True)
        try:
            yield
        finally:
            WITHIN.reset(token)

    async def began(self, app: RunningSystem) -> None:
        """Remember what the system counted before the test had it."""
        if self._where != "local":
            app.instances = Elsewhere(self._leave)
        if self._where == "processes":
            for reached in ("service", "database", "sent", "published"):
                setattr(app, reached, partial(self._reaches, f"app.{reached}(…)"))
        self._before[id(app)] = await _counted(app)

    async def ended(self, app: RunningSystem) -> None:
        """Wait until nothing is left to happen, and record what did."""
        before, unsettled = self._before.pop(id(app)), ""
        try:
            await app.settled(SETTLING)
        except TimeoutError as error:
            unsettled = str(error)
        counts = {name: round(value - before.get(name, 0)) for name, value in (await _counted(app)).items()}
        self._blocks += 1
        kept = {name: count for name, count in counts.items() if count}
        self._writer.write(Happenings(self.test, self._blocks, kept, unsettled, await app.all_events()))

    def _begin(self, operation: Operation, call: Call, frame: FrameType | None) -> RecordedCall:
        while frame is not None and (
            frame.f_code.co_filename.startswith((OURS, "<client of ")) or "site-packages" in frame.f_code.co_filename
        ):
            frame = frame.f_back
        self._clock += 1
        self._calls += 1
        # How many items of a stream are taken is not the same everywhere, where its callee takes only some.
        arguments = None if operation.takes_stream else plain(call.request)
        return RecordedCall(
            self.test, self._calls, self._clock, 0, operation.label, operation.semantics is Semantics.SAFE,
            arguments, {}, "", frame.f_code.co_filename if frame else "", frame.f_lineno if frame else 0,
        )  # fmt: skip

    async def _follow(self, operation: Operation, handler: Handler, call: Call, made: RecordedCall) -> Any:
        token = WITHIN.set(True)
        try:
            reply = await handler(call)
        except BaseException as error:
            self._end(made, *_failure(error))
            raise
        finally:
            WITHIN.reset(token)
        if operation.stream:
            return self._items(reply, made)
        self._end(made, {"reply": plain(reply)})
        return reply

    async def _items(self, stream: Any, made: RecordedCall) -> AsyncIterator[Any]:
        items: list[Any] = []
        outcome: dict[str, Any] = {"reply": items}
        message = ""
        try:
            while True:
                token = WITHIN.set(True)
                try:
                    item = await anext(stream)
                finally:
                    WITHIN.reset(token)
                items.append(plain(item))
                yield item
        except StopAsyncIteration:
            return
        except Exception as error:
            outcome, message = _failure(error)
            outcome["items"] = items
            raise
        finally:
            await stream.aclose()
            self._end(made, outcome, message)

    def _end(self, made: RecordedCall, outcome: dict[str, Any], message: str = "") -> None:
        self._clock += 1
        made.ended, made.outcome, made.message = self._clock, outcome, message
        self._writer.write(made)


class Elsewhere(dict[str, Any]):
    """The services of this process where there are none: a test that reaches into one can't be divided."""

    def __init__(self, leave: Callable[[str], object]) -> None:
        super().__init__()
        self._leave = leave

    def __missing__(self, name: str) -> Any:
        self._leave(f"it reaches into app.instances[{name!r}], which has the service only in one process")
        raise KeyError(name)


async def _counted(app: RunningSystem) -> dict[str, float]:
    """What a system has counted of events and sagas, all processes together."""
    found: dict[str, float] = {}
    for text in await app.all_figures():
        for sample in samples(text):
            if sample.name in LABELLED and PASSING not in sample.labels.values():
                name = LABELLED[sample.name].format(**sample.labels)
                found[name] = found.get(name, 0.0) + sample.value
    return found


def _failure(error: BaseException) -> tuple[dict[str, Any], str]:
    match error:
        case Fault():
            values = {name: plain(value) for name, value in error.values().items()}
            return {"fault": type(error).__name__, "code": error.code.value, "fields": values}, str(error)
        case CallError():
            return {"error": error.code.value, "violations": [each.field for each in error.violations]}, str(error)
        case _:
            return {"exception": type(error).__name__}, str(error)
