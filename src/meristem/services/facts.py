"""What the scheduled methods of a service tell those who watch them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec


class RunSkipped(msgspec.Struct, frozen=True):
    """A time of an `@every` method came and it was not run, because it ended its process each time before."""

    service: str
    method: str


Observer: TypeAlias = Callable[[RunSkipped], None]
