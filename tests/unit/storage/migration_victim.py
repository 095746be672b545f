"""Migrates a database and is killed at a chosen moment: `migration_victim.py FILE MOMENT`."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boxes import NEWEST

from meristem.storage.database import Database
from meristem.storage.driver import Statement
from meristem.storage.sqlite.driver import SqliteDriver, SqliteTransaction


class Deadly(SqliteTransaction):
    """A transaction that runs its statements one by one and dies before the one whose number has come."""

    async def commit(self, steps: Sequence[Statement] = ()) -> Any:
        for step in steps:
            count()
            await self.run([step])
        count()
        outcome = await super().commit()
        count()
        return outcome


class DeadlyDriver(SqliteDriver):
    def transaction(self) -> SqliteTransaction:
        return Deadly(self)


moments = iter(range(int(sys.argv[2])))


def count() -> None:
    if next(moments, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    database = Database(DeadlyDriver(Path(sys.argv[1]), name="boxes"), name="boxes")
    await database.start()
    await database.upgrade([NEWEST])
    await database.stop()


asyncio.run(main())
