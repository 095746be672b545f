"""A pipe for each child in which it writes while its event loop turns: what writes nothing for long stands still."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

HEARTBEAT: Final = "MERISTEM_HEARTBEAT"
STACKS: Final = signal.SIGUSR2  # a child writes the stacks of its threads, even where no Python runs any more
MANY: Final = 65536  # bytes that a pipe holds


class Heartbeat:
    """The supervisor's side: `writing` is inherited by the child."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self.writing, False)

    def began(self) -> None:
        """The child has been started and has its own end."""
        os.close(self.writing)

    def came(self) -> bool:
        """Whether the child has beaten since this was asked last."""
        try:
            return bool(os.read(self._reading, MANY))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._reading)


def heartbeat(environment: MutableMapping[str, str]) -> Callable[[], None]:
    """In a child: what tells the supervisor that the event loop turns; nothing where no supervisor listens.

    The variable is taken out of the environment: what this process starts itself does not beat for it.
    """
    given = environment.pop(HEARTBEAT, None)
    if given is None:
        return _unheard
    descriptor = int(given)
    os.set_inheritable(descriptor, False)
    faulthandler.enable()  # what crashes says where
    faulthandler.register(STACKS)

    def beat() -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # the supervisor is slow, or gone
            os.write(descriptor, b".")

    return beat


def _unheard() -> None:
    pass
