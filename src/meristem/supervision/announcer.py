"""Writes down what runs whenever that changes, once for all that changes in a turn of the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meristem.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.system.state_directory import StateDirectory
    from meristem.system.system_status import SystemStatus


class Announcer:
    """Has the state directory tell `status` from `start` until `stop`; what keeps it from that is told to `say`."""

    def __init__(self, state: StateDirectory, status: Callable[[], SystemStatus], say: Callable[[str], None]) -> None:
        self._state = state
        self._status = status
        self._say = say
        self._is_due = self._is_on = False

    def start(self) -> None:
        self._is_on = True

    def stop(self) -> None:
        self._is_on = False

    def soon(self) -> None:
        """Something has changed."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._announce)

    def _announce(self) -> None:
        self._is_due = False
        if self._is_on:
            try:
                self._state.announce(self._status())
            except OperationError as error:  # what runs does not need it, and those who look find an older one
                self._say(f"what runs could not be written down: {error}")
