"""Who watches the systems that tests run, and says where they run: `meristem check --divided`, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from meristem.contracts.call import Middleware
    from meristem.contracts.operation import Operation
    from meristem.testing.app import RunningSystem

Where: TypeAlias = Literal["local", "wire", "processes"]


class Watcher(Protocol):
    """Watches every system of a run of tests in which the test did not choose where it runs."""

    def place(self, *, find: Callable[[], object], bound: str | None) -> Where:
        """Where the system runs; `find` raises MisuseError if no other process finds it, `bound` ties it to this one.

        It may end the test.
        """
        ...

    def chosen(self, where: Where) -> None:
        """A test has chosen by itself: its system is not watched."""
        ...

    def outgoing(self, operation: Operation) -> Sequence[Middleware]:
        """What is put around an operation where the test calls it."""
        ...

    def starting(self) -> AbstractContextManager[None]:
        """Around the start of a system: what it does by itself from then on is not the test's doing."""
        ...

    async def began(self, app: RunningSystem) -> None:
        """A system runs, and the test has it next."""
        ...

    async def ended(self, app: RunningSystem) -> None:
        """The test is done with a system, which still runs."""
        ...


class Watch:
    """Holds the watcher of this run of tests."""

    watcher: Watcher | None = None


def watched(
    where: Where | None, find: Callable[[], object], here: Mapping[str, object]
) -> tuple[Watcher | None, Where]:
    """Who watches a system, and where it runs; `here` is what ties it to this process."""
    watcher = Watch.watcher
    if watcher is None or where is not None:
        if watcher is not None and where is not None:
            watcher.chosen(where)
        return None, where or "local"
    return watcher, watcher.place(find=find, bound=next(iter(here), None))
