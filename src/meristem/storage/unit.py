"""The unit of work: statements, published events and what follows the commit, kept or dropped together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from sqlalchemy.sql import Executable

from meristem.context import Context, current
from meristem.errors import IntegrityViolation, MisuseError, StorageError
from meristem.storage import rows
from meristem.storage.driver import Description, Driver, Outcome, Statement, Transaction, Withdrawn
from meristem.storage.observation import Observers, begin, emit
from meristem.storage.queries import Queries
from meristem.storage.statement_cache import Parameters, Prepared, StatementCache

_log = logging.getLogger("meristem.storage")

T = TypeVar("T")

Hook = Callable[["UnitOfWork"], Awaitable[None]]

Marks = tuple[int, int, int, bool]
"""What a unit held as a part of it began: events, statements of its commit, callbacks; and whether none had run yet."""


class Result(NamedTuple):
    """What a statement did: how many rows it changed, -1 where that has no meaning."""

    rowcount: int


class Publication(NamedTuple):
    """An event, and what surrounded the work that published it: by the commit that may be left."""

    event: Any
    context: Context


class Part(Protocol):
    """A part of a unit of work that can fail alone, as the unit sees it; the first one is the whole."""

    def here(self) -> Self | None:
        """The part of the same unit that the running task is in."""
        ...

    def savepoint(self, depth: int) -> list[Statement]:
        """What must be sent before the part's first statement."""
        ...


class UnitOfWork(Queries):
    """One database transaction and what hangs on it; it begins with its first statement, not before.

    `published` holds what `publish` collected; `name` is the database's service, for messages.
    """

    def __init__(
        self,
        name: str,
        driver: Driver,
        statements: StatementCache,
        hooks: list[Hook],
        observers: Observers,
        *,
        wrote: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.published: list[Publication] = []
        self._driver = driver
        self._transaction: Transaction | None = None
        self._statements = statements
        self._hooks = hooks
        self._observers = observers
        self._wrote = wrote  # called with the name after each commit, also one that may not have happened
        self._prelude: list[Statement] = []  # goes in the same hop as the next statement
        self._last: list[Statement] = []  # goes in the same hop as the commit
        self._callbacks: list[Callable[[], None]] = []
        self._scopes: list[Part] = []
        self._doomed: str | None = None  # why it can only be rolled back
        self._ended = False
        self._has_run = False

    @property
    def is_open(self) -> bool:
        """Whether the database transaction has begun and holds locks."""
        return self._transaction is not None and self._transaction.is_open and not self._ended

    @property
    def has_begun(self) -> bool:
        """Whether statements of it have run, or wait for the next one."""
        return bool(self._prelude) or self.is_open

    @property
    def has_ended(self) -> bool:
        """Whether it was committed or rolled back."""
        return self._ended

    async def execute(self, statement: Executable, parameters: Parameters = None) -> Result:
        """Run a statement; with a list of parameters, once for each. Read RETURNING rows by `fetch_*`."""
        prepared = self._statements.prepare(statement, parameters)
        return Result((await self.run(prepared.step(parameters))).rowcount)

    async def publish(self, event: Any) -> None:
        """Hand over an event: it leaves only if this unit commits."""
        self._check()
        self.published.append(Publication(event, current()))

    def defer(self, statement: Executable, parameters: Parameters = None) -> None:
        """Run a statement in the same hop as the next one, or as the commit; its failure fails the whole unit."""
        self._check()
        step = self._statements.prepare(statement, parameters).step(parameters)
        if len(self._scopes) > 1:
            self._open_savepoints()
        self._prelude.append(step)

    def at_commit(
        self, statement: Executable, parameters: Parameters = None, *, otherwise: Exception | None = None
    ) -> None:
        """Run a statement in the same hop as the commit, just before it; its failure fails the commit.

        `otherwise` is the failure of a statement that changes no row.
        """
        self._check()
        step = self._statements.prepare(statement, parameters).step(parameters)
        step.otherwise = otherwise
        self._last.append(step)

    def fetch_at_commit(self, statement: Executable, parameters: Parameters = None, *, into: type[T]) -> list[T]:
        """As `at_commit`, for a statement that gives rows: the list holds them once the commit has happened."""
        self._check()
        prepared = self._statements.prepare(statement, parameters)
        decode = prepared.shape.decoder(rows.typed, into)
        found: list[T] = []

        def keep(raw: list[Any], description: Description) -> list[Any]:
            found.extend(decode(raw, description))
            return []

        self._last.append(prepared.step(parameters, keep))
        return found

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once the commit is durable; never after a rollback."""
        self._check()
        self._callbacks.append(callback)

    async def _fetch(self, prepared: Prepared, step: Statement) -> Outcome:  # noqa: ARG002 - a database decides by it
        return await self.run(step)

    async def run(self, step: Statement) -> Outcome:
        """Run one prepared statement in the transaction."""
        self._check()
        if len(self._scopes) > 1:
            self._open_savepoints()
        self._has_run = True
        # Taken before the wait: a task that runs meanwhile must not send the same savepoints once more.
        before, self._prelude = self._prelude, []
        transaction = self._opened()
        began = begin(self._observers)
        try:
            outcome = await transaction.run([*before, step])
        except BaseException as error:
            # What failed alone leaves the transaction usable. In these cases it is unknown which statements have run,
            # or they are lost: to go on would commit a part of what the service meant.
            if isinstance(error, asyncio.CancelledError):
                self._doomed = "a statement in it was cancelled"
            elif any(each.failed for each in before):
                self._doomed = "a deferred statement in it failed"
            elif not transaction.is_open:
                self._doomed = "a statement in it failed so that the database gave the transaction up"
            emit(self._observers, self.name, step.text, began, error)
            raise
        emit(self._observers, self.name, step.text, began, outcome.rowcount)
        return outcome

    def _opened(self) -> Transaction:
        transaction = self._transaction
        if transaction is None:
            transaction = self._transaction = self._driver.transaction()
        return transaction

    def _check(self) -> None:
        if self._ended:
            raise MisuseError(
                f"the unit of work of {self.name!r} has ended: use it only inside its `async with` block, "
                "and await every task that uses it before the block ends"
            )
        if self._doomed is not None:
            raise StorageError(f"the unit of work of {self.name!r} was rolled back: {self._doomed}")

    def _open_savepoints(self) -> None:
        # None where the running task is in no scope of this unit: it was handed the unit, as a helper is.
        here = self._scopes[-1].here()
        if here is not None:
            self.check_innermost(here)
        for depth, scope in enumerate(self._scopes):
            self._prelude += scope.savepoint(depth)

    def check_innermost(self, scope: Part) -> None:
        """Refuse the task that would work in a scope which another task opened meanwhile."""
        if self._scopes[-1] is not scope:
            raise MisuseError(
                f"two tasks work in one unit of work of {self.name!r} and one has a block of its own open: "
                "the other's statements would share that block's fate; run them one after the other"
            )

    def enter(self, scope: Part) -> Marks:
        """Add a scope; the marks say what to drop should it fail."""
        self._scopes.append(scope)
        is_first = not self._has_run and not self._prelude
        return len(self.published), len(self._last), len(self._callbacks), is_first

    def is_root(self, scope: Part) -> bool:
        """Whether the scope is the whole unit."""
        return self._scopes[:1] == [scope]

    def leave(self, scope: Part, failed: Marks | None, *, savepoint: Statement | None) -> None:
        """End an inner scope; if it failed, drop what came since its marks. The SQL goes with the next hop."""
        depth = len(self._scopes) - 1
        if self._ended:
            savepoint = None
        elif self._scopes[-1] is not scope:
            self._doomed = "blocks of it ended out of order, in different tasks"
            self._scopes.remove(scope)
        else:
            self._scopes.pop()
        if failed is None:
            self._check()
        else:
            published, last, callbacks, is_first = failed
            del self.published[published:], self._last[last:], self._callbacks[callbacks:]
            if is_first and not self._ended:  # every statement so far is the scope's: what failed is the transaction
                self._start_over()
        if savepoint is None:
            return
        # A savepoint is opened by the first statement inside, so a scope without any costs the database nothing.
        if savepoint in self._prelude:  # nothing of the scope has been sent yet
            place = self._prelude.index(savepoint)
            del self._prelude[place : place + 1 if failed is None else None]
            return
        if failed is not None:
            self._prelude.append(Statement(f"ROLLBACK TO scope_{depth}"))
        self._prelude.append(Statement(f"RELEASE scope_{depth}"))

    async def finish(self) -> None:
        """Run the hooks, commit, call back."""
        try:
            self._check()
            self.check_innermost(self._scopes[0])
            if self.published:
                for hook in self._hooks:
                    await hook(self)
            # A unit that ran nothing has no transaction: its commit would wait in the writers' line for nothing.
            if self._last or self._prelude or self._has_run:
                await self._commit()
        except BaseException:
            self.discard()
            raise
        self._end()
        self._call_back()

    async def _commit(self) -> None:
        transaction = self._opened()
        began = begin(self._observers)
        try:
            outcome = await transaction.commit([*self._prelude, *self._last])
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and not isinstance(error, Withdrawn):
                # The driver answers a cancelled wait only when the commit's fate is known: here it has happened.
                self._end()
                self._call_back()
            if self._wrote is not None and not isinstance(error, IntegrityViolation | MisuseError):
                self._wrote(self.name)
            emit(self._observers, self.name, "COMMIT", began, error)
            raise
        if self._wrote is not None:
            self._wrote(self.name)
        emit(self._observers, self.name, "COMMIT", began, outcome.rowcount)

    def discard(self) -> None:
        """Roll everything back."""
        if not self._ended:
            self._end()
            if self._transaction is not None:
                self._transaction.abandon()

    def _start_over(self) -> None:
        """Roll back; whatever comes now runs in a new transaction."""
        self._prelude.clear()
        if self._transaction is not None:
            self._transaction.abandon()
            self._transaction = None
        self._has_run = False

    def _end(self) -> None:
        self._ended = True
        self._scopes.clear()  # they know the unit: each unit of work would else be left to the collector of cycles

    def _call_back(self) -> None:
        for callback in self._callbacks:
            try:
                callback()
            except Exception:  # the commit stands whatever a callback does
                _log.exception("a callback after the commit of %r failed", self.name)
