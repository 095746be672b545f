"""Lookups that are over sooner than a thread wakes up: run on the event loop's thread, within a budget."""

from __future__ import annotations

import asyncio
import sqlite3
from time import perf_counter, thread_time
from typing import Final

from meristem.errors import StorageError
from meristem.storage.driver import Outcome, Statement
from meristem.storage.sqlite.jobs import Runner
from meristem.storage.sqlite.locked import is_locked

_STEPS: Final = 250  # of SQLite's virtual machine, at most twice that; finding a row by its key takes 15 to 40
_SECONDS: Final = 0.002  # of this thread's work: a single step of the machine can be a long one, as count(*) is
_STRIKES: Final = 3  # before it counts: the first run also compiles the statement and reads the schema
_PARDON: Final = 500  # short runs that make up for a strike: the garbage collector may be what was slow
_A_TURN: Final = 50  # lookups until the event loop has gone on: a task that asks in a loop lets others work too
_REMEMBERED: Final = 1000


class Lookups:
    """Reads single rows on a connection of the event loop's thread; what turns out to be long is left to others."""

    def __init__(self, connection: sqlite3.Connection, database: str, loop: asyncio.AbstractEventLoop) -> None:
        connection.execute("PRAGMA busy_timeout=0")
        connection.set_progress_handler(self._on_progress, _STEPS)
        self._connection = connection
        self._runner = Runner(connection, database)
        self._loop = loop
        self._long: set[str] = set()
        self._strikes: dict[str, int] = {}  # in short runs that it takes to make up for them
        self._left = _A_TURN
        self._alarms = 0

    def find(self, step: Statement) -> Outcome | None:
        """The outcome of a step that is short; None for one that a reading thread must run."""
        text = step.text
        if text in self._long or not self._may_look():
            return None
        self._alarms = 0
        # A thread's own time takes a system call. It is asked for once the wall's, which is never less, looked long.
        clock = thread_time if text in self._strikes else perf_counter
        began = clock()
        try:
            outcome = self._runner.step(step)
        except StorageError as error:
            if self._alarms > 1:
                self._leave(text)
                return None
            if is_locked(error.__cause__):
                return None  # another process recovers or closes the file; who may wait, waits
            raise
        if clock() - began > _SECONDS:
            self._strike(text)
        elif clock is thread_time:
            self._pardon(text)
        return outcome

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _may_look(self) -> bool:
        if self._left == _A_TURN:
            self._loop.call_soon(self._next_turn)
        self._left -= self._left > 0
        return self._left > 0

    def _next_turn(self) -> None:
        self._left = _A_TURN

    def _on_progress(self) -> bool:
        # SQLite counts on from the statement's last run: the first alarm of a run says nothing about its length.
        self._alarms += 1
        return self._alarms > 1

    def _strike(self, text: str) -> None:
        self._strikes[text] = self._strikes.get(text, 0) + _PARDON
        if self._strikes[text] > (_STRIKES - 1) * _PARDON:
            self._leave(text)

    def _pardon(self, text: str) -> None:
        self._strikes[text] -= 1
        if not self._strikes[text]:
            del self._strikes[text]

    def _leave(self, text: str) -> None:
        if len(self._long) >= _REMEMBERED:
            self._long.clear()
            self._strikes.clear()
        self._long.add(text)
