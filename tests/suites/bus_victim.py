"""A publisher and its subscriber, killed at a chosen moment: `bus_victim.py URL FOLDER MOMENT`."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from bus import ENTRIES, Noted, Stage
from sqlalchemy import insert

from meristem.events.adapters import bus_for
from meristem.testing import ManualClock


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL returns to nobody")


async def main(url: str, folder: str, moment: str) -> None:
    stage = Stage(Path(folder), bus_for(url, system="suite"), ManualClock())
    billing = stage.subscriber("billing")
    receive, handle = billing.inbox.receive, billing.handle

    async def deliver(envelope: Any, *, is_new: bool) -> None:
        if moment == "before the delivery":
            die()
        await receive(envelope, is_new=is_new)
        die()

    async def handle_and_die(event: Any) -> None:
        await handle(event)
        die()

    billing.inbox.receive = deliver  # type: ignore[method-assign]
    if moment == "in the handler":
        billing.inbox._handlers[Noted.event_type] = handle_and_die
    await stage.start()
    async with stage.database.begin() as tx:
        await tx.execute(insert(ENTRIES).values(number=1))
        await tx.publish(Noted(number=1))
    await stage.settle()


asyncio.run(main(*sys.argv[1:]))
