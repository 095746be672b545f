"""A publisher and its subscriber in one process, by a clock that is wrong by so many seconds.

`python stepping_program.py DIRECTORY fail 0` publishes an event, has its handler fail, and dies by SIGKILL while the
event waits. `… step -3600` does the same, then sets the clock, and says `handled` once the event was tried again.
`… resume -3600` says so when it has handled the event that an earlier process left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from meristem.clock import SystemClock
from meristem.events.direct import DirectBus
from meristem.events.facts import Delivered, DeliveryRetried
from meristem.events.policy import DeliveryPolicy
from meristem.events.relay import Relay
from tests.suites.bus import Noted, Stage


class SetClock(SystemClock):
    """The machine's clock, if it had been set."""

    wrong_by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.wrong_by


async def main(folder: Path, what: str, seconds: float) -> None:
    clock: Any = SetClock()
    stage = Stage(folder, DirectBus(), clock)
    stage.relay = Relay(stage.outbox, stage.bus, clock)
    stage.relay.observers.append(stage.on_fact)
    # The pause of the one that is killed is drawn below ten minutes: nobody waits for it.
    cap = 600.0 if what == "fail" else 0.5
    billing = stage.subscriber("billing", policy=DeliveryPolicy(attempts=3, base=cap, cap=cap))

    async def fail_once(_: Any) -> None:
        if len(billing.seen) == 1 and what != "resume":
            raise LookupError("not yet")

    billing.before = fail_once
    if what == "resume":
        clock.wrong_by = timedelta(seconds=seconds)
    await stage.start()
    if what != "resume":
        await stage.publish(Noted(number=1))
        await stage.emitted(DeliveryRetried)
    if what == "fail":
        os.kill(os.getpid(), signal.SIGKILL)
    clock.wrong_by = timedelta(seconds=seconds)
    await stage.emitted(Delivered)
    print("handled", flush=True)
    await stage.stop()


if __name__ == "__main__":
    signal.alarm(90)  # what hangs is killed, and told by its exit status
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
