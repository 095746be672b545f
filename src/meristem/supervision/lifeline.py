"""Pipes that only the supervisor can write to: when they close, it is gone and its children end too, callees last."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

logger = logging.getLogger(__name__)
LIFELINE: Final = "MERISTEM_LIFELINE"
# Less than a drain has otherwise: the site is down until the last orphan has ended, and what is durable goes on then.
GRACE: Final = 12.0  # seconds for the drain of an orphan, then it ends at once
CALLERS: Final = 0.7  # the part of them for which it waits for those that may still call it


class Lifeline:
    """The supervisor's side: `reading` is inherited by every child, the other end by none but those that are `held`."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def close(self) -> None:
        """Let go of every child that is left."""
        os.close(self.reading)
        os.close(self.writing)


class Lifelines:
    """One of the supervisor's own, and one for each process: those that call it hold that, too.

    So the kernel tells a process that supervisor and callers have ended, in whatever way: it ends after them.
    `callees` are the processes that each one may call.
    """

    def __init__(self, callees: Mapping[str, frozenset[str]]) -> None:
        self._callees = callees
        self._own = Lifeline()
        self._of = {process: Lifeline() for process in callees}

    def of(self, process: str) -> tuple[int, ...]:
        """The descriptors that a replica inherits, in the order in which `hold` expects them."""
        held = (self._of[each].writing for each in self._callees[process])
        return (self._own.reading, self._of[process].reading, *held)

    @property
    def of_all(self) -> tuple[int, ...]:
        """What is held by one that may call every process."""
        return tuple(each.writing for each in self._of.values())

    def close(self) -> None:
        """Let go of every child that is left."""
        for each in (self._own, *self._of.values()):
            each.close()


def variable(descriptors: Sequence[int]) -> str:
    """The value of `LIFELINE` for a child that inherits these."""
    return ",".join(map(str, descriptors))


def hold(environment: MutableMapping[str, str], *, grace: float = GRACE) -> None:
    """In a child: end by the ordinary drain (SIGTERM) when who started it is gone, however that went.

    The variable names the lifeline, that of its callers where there are some, and what else this process holds until
    it ends. It is taken out of the environment: what this process starts itself has no such descriptors.
    """
    given = environment.pop(LIFELINE, None)
    if given is None:
        return
    descriptors = [int(each) for each in given.split(",")]
    for each in descriptors:
        os.set_inheritable(each, False)
    # a thread: it sees the end even while the event loop is blocked
    threading.Thread(target=_watch, args=(descriptors[:2], grace), name="lifeline", daemon=True).start()


def _watch(lines: Sequence[int], grace: float) -> None:
    supervisor, *callers = lines
    _closed(supervisor, None)
    latest = time.monotonic() + grace
    _write_to_nothing()
    for each in callers:
        _closed(each, grace * CALLERS)
    logger.warning("the supervisor is gone; ending")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(max(0.0, latest - time.monotonic()))
    os._exit(1)


def _write_to_nothing() -> None:
    """Who read what this process writes is gone: a line of a handler's must not fail the request that it answers."""
    for descriptor in (1, 2):
        poll = select.poll()
        poll.register(descriptor, 0)
        if poll.poll(0):  # nobody reads it any more
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def _closed(descriptor: int, patience: float | None) -> None:
    """Return when the other end is closed everywhere, or after `patience` seconds."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(None if patience is None else patience * 1000)
