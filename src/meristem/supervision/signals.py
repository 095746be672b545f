"""What signals ask of a supervisor: to end, to end at once, to start everything anew."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from meristem.lifecycle import first_of
from meristem.stop_signals import StopSignals, code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.supervision.supervisor import Supervisor

RELOAD: Final = signal.SIGUSR1  # not SIGHUP: that comes from a terminal which is closed


async def supervise(supervisor: Supervisor, started: Callable[[], None]) -> int:
    """Run until asked to end; a second signal ends everything at once, `RELOAD` starts everything anew.

    `started` is called when everything is ready. Returns the exit code; raises what `start` raises.
    """
    loop = asyncio.get_running_loop()
    code = 0

    def end_at_once(number: int) -> None:
        nonlocal code
        code = code_of(number)
        loop.call_soon_threadsafe(supervisor.kill)

    loop.add_signal_handler(RELOAD, supervisor.reload)
    with StopSignals(end_at_once) as signals:
        starting = asyncio.ensure_future(supervisor.start())
        try:
            await first_of(asyncio.wait({starting}), signals.asked.wait())
            if starting.done():
                await starting
                started()
                await signals.asked.wait()
            else:
                supervisor.say("asked to end while starting")
        finally:
            starting.cancel()
            await asyncio.wait({starting})
            await supervisor.stop()
            loop.remove_signal_handler(RELOAD)
    return code
