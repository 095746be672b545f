"""What one process of a system may take of its machine."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from meristem.quantities import bytes_of

MIB: Final = 1 << 20
LEAST: Final = 32 << 20  # an interpreter with nothing to do takes more: less would only start it again and again

Processors: TypeAlias = Annotated[
    float, Meta(ge=0.01, le=4096, description="a number of processors from 0.01, such as 0.5 for half of one")
]


class Bounds(msgspec.Struct, frozen=True):
    """The most that a replica and all that it starts may take together: `memory` in bytes, `cpu` in processors."""

    memory: int | None = None
    cpu: float | None = None

    def __str__(self) -> str:
        memory = [] if self.memory is None else [f"{self.memory / MIB:.4g} MiB of memory"]
        return ", ".join(memory if self.cpu is None else [*memory, f"{self.cpu:g} processors"])

    def __bool__(self) -> bool:
        return self.memory is not None or self.cpu is not None


def size_of(written: str | int) -> int:
    """A written size in bytes, which are a number alone; raises ValueError."""
    return written if isinstance(written, int) else bytes_of(written)
