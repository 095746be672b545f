"""What signals ask of a supervisor: to end, to end at once, to start everything anew."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.supervision.supervisor import Supervisor


async def supervise(supervisor: Supervisor, started: Callable[[], None]) -> None:
    """Run until SIGINT or SIGTERM, a second one ends everything at once; SIGHUP starts everything anew.

    `started` is called when everything is ready. Raises what `start` raises.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def end() -> None:
        if asked.is_set():
            supervisor.kill()
        asked.set()

    handlers = {signal.SIGINT: end, signal.SIGTERM: end, signal.SIGHUP: supervisor.reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    starting, waiting = asyncio.ensure_future(supervisor.start()), asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            started()
            await waiting
        else:
            supervisor.say("asked to end while starting")
    finally:
        waiting.cancel()
        starting.cancel()
        await asyncio.wait({starting})
        await supervisor.stop()
        for number in handlers:
            loop.remove_signal_handler(number)
