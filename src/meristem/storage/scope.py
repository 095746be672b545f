"""Scopes: where the running task is in a unit of work, or in several, one inside another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from meristem.errors import MisuseError
from meristem.storage.driver import Statement
from meristem.storage.unit import Marks, UnitOfWork

_current: ContextVar[Scope | None] = ContextVar("meristem_storage_scope", default=None)


class Scope:
    """One `async with database.begin()`: the whole unit of work, or a part of it that can fail alone."""

    __slots__ = ("_join", "_make", "_marks", "_savepoint", "outer", "owner", "unit")

    unit: UnitOfWork
    _marks: Marks

    def __init__(self, owner: object, make: Callable[[], UnitOfWork], *, join: bool) -> None:
        self.owner = owner
        self._make = make
        self._join = join
        self._savepoint: Statement | None = None
        self.outer: Scope | None = None

    async def __aenter__(self) -> UnitOfWork:
        # The scopes around it may be of other databases: one service's test, or a fixture, holds several.
        self.outer = _current.get()
        joined = self.outer and self.outer.of(self.owner)
        self.unit = unit = self._make() if joined is None else joined.joined_unit(self._join)
        self._marks = unit.enter(self)
        _current.set(self)
        return unit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unit = self.unit
        try:
            if unit.is_root(self):
                if kind is None:
                    await unit.finish()
                else:
                    unit.discard()
            else:
                unit.leave(self, self._marks if kind is not None else None, savepoint=self._savepoint)
        finally:
            # Not by token: a test's fixture may enter and leave in different contexts.
            _current.set(self.outer)

    def of(self, owner: object) -> Scope | None:
        """This scope or the nearest around it that belongs to the given database."""
        scope: Scope | None = self
        while scope is not None and scope.owner is not owner:
            scope = scope.outer
        return scope

    def joined_unit(self, may_join: bool) -> UnitOfWork:
        """The unit to join, if that is right here."""
        # A task inherits its starter's context, so one that outlives the unit still sees the scope.
        if self.unit.has_ended:
            raise MisuseError(
                f"this task was started inside a unit of work of {self.unit.name!r} that has ended meanwhile: "
                "await it before the unit ends, or start it with `context=contextvars.Context()`"
            )
        if not may_join:
            raise MisuseError(f"a unit of work of {self.unit.name!r} is current already: begin() would join it")
        self.unit.check_innermost(self)
        return self.unit

    def here(self) -> Scope | None:
        """The scope of the same unit that the running task is in."""
        scope = _current.get()
        return None if scope is None or scope.unit is not self.unit else scope

    def savepoint(self, depth: int) -> list[Statement]:
        """What must be sent before the scope's first statement."""
        *_, is_first = self._marks
        # Most scopes are a handler's or a method's only one, inside that of the event or the call: what they do is all
        # that was done, and to undo it is to roll the transaction back, for which no savepoint is needed.
        if is_first or self._savepoint is not None:
            return []
        self._savepoint = Statement(f"SAVEPOINT scope_{depth}")
        return [self._savepoint]

    def any_open(self) -> bool:
        """Whether this scope's transaction, or one around it, is open."""
        scope: Scope | None = self
        while scope is not None:
            if scope.unit.is_open:
                return True
            scope = scope.outer
        return False


def transaction_is_open() -> bool:
    """Whether the running task is inside a database transaction that has begun, of any database."""
    scope = _current.get()
    return scope is not None and scope.any_open()


def current_unit(owner: object) -> UnitOfWork | None:
    """The unit of work of this database that the running task is in, unless it has ended."""
    scope = _current.get()
    scope = scope and scope.of(owner)
    return None if scope is None or scope.unit.has_ended else scope.unit


@contextmanager
def outside_units() -> Iterator[None]:
    """Hide the current unit of work, as a remote callee would not see it: for transports and background tasks."""
    scope = _current.get()
    _current.set(None)
    try:
        yield
    finally:
        _current.set(scope)
