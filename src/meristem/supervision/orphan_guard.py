"""A small process of its own that ends what its supervisor leaves behind, where that does not end by itself.

It reads `+PID` and `-PID` lines from its standard input, and when that ends, it ends the process groups named there
and not taken back. It is run by its path, so that it imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time


def main(grace: float, *, asks: bool) -> None:
    """Wait for the end of the standard input, then leave nobody behind after `grace` seconds.

    With `asks` they are asked to end first, as programs must be: they know nothing of a lifeline.
    """
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # it ends with its standard input
    guarded: set[int] = set()
    for line in sys.stdin:
        (guarded.add if line[0] == "+" else guarded.discard)(int(line[1:]))
    if asks:
        _signal(guarded, signal.SIGTERM)
    latest = time.monotonic() + grace
    # Who has ended is forgotten at once: its id may be given to somebody else.
    while (guarded := {each for each in guarded if _lives(each)}) and time.monotonic() < latest:
        time.sleep(0.05)
    _signal(guarded, signal.SIGKILL)


def _signal(groups: set[int], number: signal.Signals) -> None:
    for each in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(each, number)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main(float(sys.argv[1]), asks="ask" in sys.argv[2:])
