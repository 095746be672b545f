"""How often something has ended in a row, and when it is to be believed that it has come back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

AGAIN: Final = 2  # ends in a row, and it ends again and again


class Probation:
    """Counts ends in a row; what comes back is on probation for some `seconds` before it counts as ready `again`.

    With 0 seconds its word is believed at once, and its ends are counted on until they lie far enough apart.
    """

    def __init__(self, seconds: float, again: Callable[[], None]) -> None:
        self.failures = 0
        self._seconds = seconds
        self._again = again
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_failing(self) -> bool:
        """Whether it ends again and again, whatever it does at this moment."""
        return self.failures >= AGAIN

    @property
    def is_on(self) -> bool:
        """Whether it has come back, but not for long."""
        return self._timer is not None

    def ended(self, *, anew: bool) -> None:
        """It has ended: once more in a row, or `anew` for the first time."""
        self.cancel()
        self.failures = 1 if anew else self.failures + 1

    def ready(self) -> None:
        """It is ready, perhaps after it had ended."""
        if not self.failures:
            return
        if self._seconds:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._passed)
        else:
            self._again()

    def cancel(self) -> None:
        """It runs no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def told(self) -> str:
        """How often it has ended in a row: ` for the 3rd time in a row`, nothing for the first time."""
        return f" for the {_ordinal(self.failures)} time in a row" if self.is_failing else ""

    def _passed(self) -> None:
        self._timer = None
        self.failures = 0
        self._again()


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
