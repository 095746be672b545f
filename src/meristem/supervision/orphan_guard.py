"""A small process of its own that ends programs whose supervisor is gone: they know nothing of a lifeline.

It reads `+PID` and `-PID` lines from its standard input, and when that ends, it ends the process groups named there
and not taken back. It is run by its path, so that it imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time


def main(grace: float = 5.0) -> None:
    """Wait for the end of the standard input, then leave no program behind."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # it ends with its standard input
    guarded: set[int] = set()
    for line in sys.stdin:
        (guarded.add if line[0] == "+" else guarded.discard)(int(line[1:]))
    _signal(guarded, signal.SIGTERM)
    latest = time.monotonic() + grace
    while guarded and time.monotonic() < latest:
        guarded = {each for each in guarded if _lives(each)}
        time.sleep(0.05)
    _signal(guarded, signal.SIGKILL)


def _signal(groups: set[int], number: signal.Signals) -> None:
    for each in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(each, number)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    return True


if __name__ == "__main__":
    main()
