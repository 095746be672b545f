"""One write transaction: BEGIN with its first statement, a savepoint before what may fail alone, COMMIT at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from meristem.backoff import FULL, wait_after
from meristem.errors import MeristemError, StorageError
from meristem.storage.driver import AWAY, Outcome, Statement, Withdrawn

if TYPE_CHECKING:
    from meristem.storage.postgresql.connection_pool import ConnectionPool
    from meristem.storage.postgresql.session import Session

ATTEMPTS: Final = 5  # of what nobody has heard of yet, where another transaction or a restart was in its way
_BASE, _CAP = 0.005, 0.2  # seconds between two attempts
_COMMIT_PATIENCE: Final = 30.0  # seconds for the answer to a COMMIT
_ALONE: Final = "meristem_alone"
_PLAIN: Final = ("SAVEPOINT ", "ROLLBACK TO ", "RELEASE ")
_NOTHING: Final = Outcome([], -1)


class TransactionHome(Protocol):
    """What a transaction knows of its driver."""

    @property
    def name(self) -> str: ...
    @property
    def pool(self) -> ConnectionPool: ...
    @property
    def doubts(self) -> list[Callable[[], None]]: ...
    @property
    def commits_by_itself(self) -> bool:
        """Whether a statement outside BEGIN and COMMIT is a transaction as the URL asks for it."""
        ...

    def beginning(self, steps: Sequence[Statement]) -> str:
        """The statements that begin a transaction with these steps."""
        ...


class Unknown(StorageError):
    """The connection was lost while the transaction was committed: it may have happened."""


class _State(Enum):
    FRESH = "not begun"
    OPEN = "begun"
    ENDED = "committed, rolled back or lost"


class _Fate(Enum):
    """What becomes of a commit whose wait is cancelled."""

    OURS = "it is taken back"
    THEIRS = "the server is asked to stop the one statement that commits itself, and says what it did"
    SEALED = "COMMIT is on its way, and its answer is waited for"


class PostgresqlTransaction:
    """One write transaction on a connection of its own; the steps of several tasks run one after the other."""

    __slots__ = ("_driver", "_fate", "_is_empty", "_is_guarded", "_lock", "_session", "_state", "_stopping")

    def __init__(self, driver: TransactionHome) -> None:
        self._driver = driver
        self._lock = asyncio.Lock()
        self._session: Session | None = None
        self._state = _State.FRESH
        self._is_empty = True  # nothing of it has succeeded: to undo a statement is to begin anew
        self._is_guarded = False  # the savepoint before the last statement is still there
        self._fate = _Fate.OURS
        self._stopping: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server holds it."""
        return self._state is _State.OPEN and self._session is not None and not self._session.is_lost

    async def run(self, steps: Sequence[Statement]) -> Outcome:
        """Run steps; a cancelled wait ends the transaction."""
        async with self._lock:
            if self._state is _State.FRESH:
                return await self._first(steps, commits=False)
            session = self._here()
            try:
                return await self._run(session, steps, [], alone=True)
            except asyncio.CancelledError:
                self._lose()
                raise

    async def commit(self, steps: Sequence[Statement] = ()) -> Outcome:
        """Run steps and commit; a cancelled wait ends only when the commit's fate is known."""
        # In variables of its own: a time limit's timer would else keep the unit of work for as long as it is set.
        task = asyncio.get_running_loop().create_task(self._commit(steps), context=Context())
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
                self._withdraw(task)
        if cancelled is None:
            return task.result()
        if task.cancelled():
            raise Withdrawn from cancelled
        failure = task.exception()
        if failure is None:
            raise cancelled
        raise failure if isinstance(failure, Unknown) else Withdrawn from failure

    def abandon(self) -> None:
        """Roll back without waiting."""
        if self._state is _State.OPEN:
            if self._lock.locked():  # another task's statement is under way: it ends first
                self._driver.pool.spawn(self._abandon())
            else:
                self._lose()
        self._state = _State.ENDED

    async def _abandon(self) -> None:
        async with self._lock:
            self._lose()

    def _here(self) -> Session:
        if self._state is not _State.OPEN or self._session is None:
            raise StorageError(f"the transaction has ended already (database {self._driver.name!r})")
        return self._session

    async def _first(self, steps: Sequence[Statement], *, commits: bool) -> Outcome:
        """The hop that begins the transaction: nobody has heard of it yet, so it can be tried again."""
        may_repeat = all(not each.many or isinstance(each.parameters, Sequence) for each in steps) and not (
            commits and any(each.decode is not None for each in steps)
        )
        # Such a one waits for nothing, as a read does.
        urgent = commits and all(each.urgent for each in steps)
        attempt = 1
        while True:
            session = self._session = await self._driver.pool.take(writes=not urgent, urgent=urgent)
            try:
                if commits and self._is_one(steps):
                    return await self._commit_itself(session, steps[0])
                self._state, self._is_empty = _State.OPEN, True
                texts = [self._driver.beginning(steps)]
                run = self._finish(session, steps, texts) if commits else self._run(session, steps, texts, alone=True)
                return await run
            except BaseException as error:
                again = isinstance(error, MeristemError) and may_repeat and attempt < ATTEMPTS and session.may_repeat
                is_alive = isinstance(error, Exception) and self._state is _State.OPEN and not session.may_repeat
                if commits or not is_alive:
                    self._lose()
                if not again or isinstance(error, Unknown):
                    raise
            for each in steps:
                each.failed = False
            self._state, self._fate, self._is_guarded = _State.FRESH, _Fate.OURS, False
            await asyncio.sleep(wait_after(attempt, _BASE, _CAP, FULL))
            attempt += 1

    async def _run(self, session: Session, steps: Sequence[Statement], texts: list[str], *, alone: bool) -> Outcome:
        """Run steps, `texts` before them; of a last step that may fail `alone` a failure leaves the others."""
        if self._is_guarded:
            texts.insert(0, f"RELEASE {_ALONE}")
            self._is_guarded = False
        *before, last = steps
        for step in before:
            if step.text.startswith(_PLAIN):
                texts.append(step.text)
            else:
                await _send(session, texts)
                await session.run(step)
                self._is_empty = False
        if not alone:
            if last.text.startswith(_PLAIN):
                texts.append(last.text)  # goes with the COMMIT
                return _NOTHING
            await _send(session, texts)
            return await session.run(last)
        guards = not self._is_empty and not last.text.startswith("SELECT")
        if guards:
            texts.append(f"SAVEPOINT {_ALONE}")
        await _send(session, texts)
        try:
            outcome = await session.run(last)
        except Exception:
            await self._undo(session, guards=guards, steps=steps)
            if not (guards and session.is_outdated) or last.many:
                raise
            outcome = await session.run(last)  # prepared anew, behind the savepoint that is there again
        self._is_empty = False
        self._is_guarded = guards
        return outcome

    async def _undo(self, session: Session, *, guards: bool, steps: Sequence[Statement]) -> None:
        """After the failure of a last step: back to before it, or to nothing where the server gave it all up."""
        if session.is_outdated:  # and so are the statements that the others have prepared
            self._driver.pool.suspect()
        if guards and not session.is_lost:
            await session.send(f"ROLLBACK TO {_ALONE}")
            self._is_guarded = True
        elif session.is_lost or (session.has_refused and not self._is_empty):
            self._lose()
        elif self._is_empty and not session.may_repeat:
            await session.send(f"ROLLBACK; {self._driver.beginning(steps)}")

    async def _commit(self, steps: Sequence[Statement]) -> Outcome:
        async with self._lock:
            if self._state is _State.FRESH:
                return await self._first(steps, commits=True) if steps else _NOTHING
            try:
                return await self._finish(self._here(), steps, [])
            except BaseException:
                self._lose()
                raise

    async def _finish(self, session: Session, steps: Sequence[Statement], texts: list[str]) -> Outcome:
        outcome = await self._run(session, steps, texts, alone=False) if steps else _NOTHING
        self._fate = _Fate.SEALED
        try:
            tag = await session.send("; ".join([*texts, "COMMIT"]), patience=_COMMIT_PATIENCE)
        except MeristemError:
            is_unknown = session.is_lost and not session.is_undone
            if not is_unknown:
                raise
        else:
            self._end(session)
            if tag != "COMMIT":  # the server rolls back what has failed, and says no more of it
                raise StorageError(f"the transaction was rolled back: a statement in it failed ({self._place()})")
            return outcome
        raise self._unknown()

    def _is_one(self, steps: Sequence[Statement]) -> bool:
        """Whether this is one statement that commits itself: a third of the way there and back.

        One that fails where it changes no row may, too: what it then commits is nothing.
        """
        only = steps[0]
        return len(steps) == 1 and self._driver.commits_by_itself and not only.many

    async def _commit_itself(self, session: Session, step: Statement) -> Outcome:
        self._fate = _Fate.THEIRS
        try:
            outcome = await session.run(step)
        except MeristemError:
            is_unknown = session.is_lost and not session.is_undone
            if not is_unknown:
                raise
        else:
            await self._stopped()
            self._end(session)
            return outcome
        raise self._unknown()

    def _withdraw(self, task: asyncio.Task[Outcome]) -> None:
        """Take a commit back, as far as it can be."""
        if self._fate is _Fate.OURS:
            task.cancel()
        elif self._fate is _Fate.THEIRS and self._session is not None and self._stopping is None:
            self._stopping = asyncio.ensure_future(self._session.cancel())

    async def _stopped(self) -> None:
        """Wait for a request to stop the statement: it would else meet the next one of the connection."""
        if self._stopping is not None:
            await self._stopping

    def _end(self, session: Session) -> None:
        self._state, self._session = _State.ENDED, None
        self._driver.pool.give(session)

    def _lose(self) -> None:
        """Roll back in the background; whoever waits for the connection gets it afterwards."""
        session, self._session, self._state = self._session, None, _State.ENDED
        if session is not None:
            self._driver.pool.recover(session, after=self._stopping)

    def _unknown(self) -> Unknown:
        lost = Unknown(
            f"the connection was lost while the transaction was committed: it may have happened ({self._place()})"
        )
        lost.condition = AWAY
        lost.__cause__ = ConnectionResetError("the server's answer to COMMIT didn't come")
        for each in self._driver.doubts:
            each()
        return lost

    def _place(self) -> str:
        return f"database {self._driver.name!r}, statement: COMMIT"


async def _send(session: Session, texts: list[str]) -> None:
    if texts:
        await session.send("; ".join(texts))
        texts.clear()
