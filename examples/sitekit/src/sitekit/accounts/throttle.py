"""Slows down who guesses passwords, and keeps nobody out for good (OWASP Authentication Cheat Sheet, device cookies).

After some wrong passwords an address takes one only now and then, whether it has an account or not. What comes from a
browser that its owner has signed in from before is counted by itself, so that a stranger's guesses never hold up the
owner there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, bindparam, delete, insert, select, update

from meristem import Clock, Database, IntegrityViolation, Message
from sitekit.accounts.faults import TooManyAttempts
from sitekit.accounts.settings import ThrottleSettings

# Attempts since the last right password: by the digest of an address and of whether its owner's browser sent them.
failures = Table(
    "failures",
    MetaData(),
    Column("subject", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False, index=True),  # before then none is looked at
)

FAILURES = select(failures.c.failures, failures.c.until).where(failures.c.subject == bindparam("subject"))
INSERT_FAILURE = insert(failures)
# Only from what was seen: of many attempts at a time each is counted, by whichever replica.
COUNT_FAILURE = (
    update(failures)
    .where(failures.c.subject == bindparam("wanted"), failures.c.failures == bindparam("seen"))
    .values(failures=bindparam("now"), until=bindparam("pause", type_=DateTime(timezone=True)))
)
FORGET_FAILURES = delete(failures).where(failures.c.subject == bindparam("subject"))
FORGET_OLD_FAILURES = delete(failures).where(failures.c.until <= bindparam("before"))


def add_to(metadata: MetaData) -> Table:
    """The table of attempts among those of a service."""
    return failures.to_metadata(metadata)


class Failures(Message):
    """How often a password was tried, and until when none is looked at."""

    failures: int
    until: datetime


class Throttle:
    """Lets sign-ins through, each address's as often as its failures allow."""

    def __init__(self, database: Database, settings: ThrottleSettings, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings

    @asynccontextmanager
    async def attempt(self, email: str, *, known: bool) -> AsyncIterator[None]:
        """A block that looks at a password and raises for a wrong one; a right one forgets the failures.

        Raises TooManyAttempts without running it when the address has to be left alone for a while. An attempt counts
        as a failure before its password is looked at, so many at a time are no way around the pauses.
        """
        subject = hashlib.sha256(f"{email}\n{known}".encode()).hexdigest()
        while not await self._counted(subject):
            pass
        yield
        await self.database.execute(FORGET_FAILURES, {"subject": subject})

    async def forget_old(self) -> None:
        """Drop what is so old that it slows down nobody."""
        await self.database.execute(FORGET_OLD_FAILURES, {"before": self.clock.now() - self._memory})

    @property
    def _memory(self) -> timedelta:
        return timedelta(seconds=self.settings.failures_kept)

    async def _counted(self, subject: str) -> bool:
        """Count one more; False when another attempt was counted at the same moment."""
        now = self.clock.now()
        found = await self.database.fetch_one(FAILURES, {"subject": subject}, into=Failures)
        if found is not None and now < found.until:
            raise TooManyAttempts(wait=math.ceil((found.until - now).total_seconds()))
        remembered = found is not None and now < found.until + self._memory
        count = 1 + (found.failures if found is not None and remembered else 0)
        until = now + self._pause(count)
        if found is not None:
            change = {"wanted": subject, "seen": found.failures, "now": count, "pause": until}
            return (await self.database.execute(COUNT_FAILURE, change)).rowcount == 1
        try:
            await self.database.execute(INSERT_FAILURE, {"subject": subject, "failures": count, "until": until})
        except IntegrityViolation:
            return False
        return True

    def _pause(self, count: int) -> timedelta:
        """After the free ones each is twice as long, up to the longest."""
        beyond = count - self.settings.free_failures
        return timedelta(seconds=min(2.0 ** min(beyond, 30), self.settings.longest_pause) if beyond >= 0 else 0.0)
