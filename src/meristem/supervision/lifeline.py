"""A pipe that only the supervisor can write to: when it closes, the supervisor is gone and its children end too."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

logger = logging.getLogger(__name__)
LIFELINE: Final = "MERISTEM_LIFELINE"
GRACE: Final = 40.0  # seconds for the ordinary drain of an orphan, then it ends at once


class Lifeline:
    """The supervisor's side: `reading` is inherited by every child, the other end by none."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()

    def close(self) -> None:
        """Let go of every child that is left."""
        os.close(self.reading)
        os.close(self._writing)


def hold(environment: MutableMapping[str, str], *, grace: float = GRACE) -> None:
    """In a child: end by the ordinary drain (SIGTERM) when who started it is gone, however that went.

    The variable is taken out of the environment: what this process starts itself has no such descriptor.
    """
    given = environment.pop(LIFELINE, None)
    if given is None:
        return
    # a thread: it sees the end even while the event loop is blocked
    threading.Thread(target=_watch, args=(int(given), grace), name="lifeline", daemon=True).start()


def _watch(descriptor: int, grace: float) -> None:
    while os.read(descriptor, 1):  # blocks until its other end is closed
        pass
    logger.warning("the supervisor is gone; ending")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os._exit(1)
