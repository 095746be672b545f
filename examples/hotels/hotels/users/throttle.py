"""Slows down who guesses passwords, and keeps nobody out for good (OWASP Authentication Cheat Sheet, device cookies).

After some wrong passwords an account takes one only now and then. What comes from a browser that its owner has signed
in from before is counted by itself, so that a stranger's guesses never hold up the owner there.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from hotels.contracts.users import TooManyAttempts, WrongCredentials
from hotels.users import tables
from hotels.users.settings import UsersSettings
from meristem import Clock, Database, Message


class Failures(Message):
    """How often a wrong password was given, and until when none is looked at."""

    failures: int
    until: datetime


class Throttle:
    """Lets sign-ins through, each account's as often as its failures allow."""

    def __init__(self, database: Database, settings: UsersSettings, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings
        self._trying: Counter[str] = Counter()  # attempts that are looked at now: many at once are no way around

    @asynccontextmanager
    async def attempt(self, email: str, *, known: bool) -> AsyncIterator[None]:
        """A block that looks at a password and raises WrongCredentials for a wrong one.

        Raises TooManyAttempts without running it when the account has to be left alone for a while.
        """
        subject = hashlib.sha256(f"{email}\n{known}".encode()).hexdigest()
        found = await self.database.fetch_one(tables.FAILURES, {"subject": subject}, into=Failures)
        self._admit(subject, found)
        self._trying[subject] += 1
        try:
            yield
        except WrongCredentials:
            await self._failed(subject)
            raise
        finally:
            self._trying[subject] -= 1
            if not self._trying[subject]:
                del self._trying[subject]
        if found is not None:
            async with self.database.begin() as tx:
                await tx.execute(tables.FORGET_FAILURES, {"subject": subject})

    async def forget_old(self) -> None:
        """Drop what is so old that it slows down nobody."""
        async with self.database.begin() as tx:
            await tx.execute(tables.FORGET_OLD_FAILURES, {"before": self.clock.now() - self._memory})

    @property
    def _memory(self) -> timedelta:
        return timedelta(seconds=self.settings.failures_kept)

    def _admit(self, subject: str, found: Failures | None) -> None:
        now, failures = self.clock.now(), 0
        if found is not None and now < found.until + self._memory:
            failures = found.failures
            if now < found.until:
                raise TooManyAttempts(wait=math.ceil((found.until - now).total_seconds()))
        if self._trying[subject] >= max(1, self.settings.free_failures - failures):
            raise TooManyAttempts(wait=1)

    async def _failed(self, subject: str) -> None:
        """Count it; with each failure beyond the free ones the pause is twice as long, up to the longest."""
        now = self.clock.now()
        async with self.database.begin() as tx:
            found = await tx.fetch_one(tables.FAILURES, {"subject": subject}, into=Failures)
            kept = found if found is not None and now < found.until + self._memory else None
            failures = 1 + (kept.failures if kept else 0)
            beyond = failures - self.settings.free_failures
            pause = min(2.0 ** min(beyond, 30), self.settings.longest_pause) if beyond >= 0 else 0.0
            row = {"failures": failures, "until": now + timedelta(seconds=pause)}
            if found is None:
                await tx.execute(tables.INSERT_FAILURE, {"subject": subject, **row})
            else:
                await tx.execute(tables.COUNT_FAILURE, {"wanted": subject, **row})
