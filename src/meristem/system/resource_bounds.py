"""What one process of a system may take of its machine."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
WRITTEN: Final = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:iB|B)?")
LEAST: Final = 32 << 20  # an interpreter with nothing to do takes more: less would only start it again and again

Memory: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^{WRITTEN.pattern}$(?!\n)", description='a size in bytes with its unit, such as "512 MiB" or "1.5G"'
    ),
]
Processors: TypeAlias = Annotated[
    float, Meta(ge=0.01, le=4096, description="a number of processors from 0.01, such as 0.5 for half of one")
]


class Bounds(msgspec.Struct, frozen=True):
    """The most that a replica and all that it starts may take together: `memory` in bytes, `cpu` in processors."""

    memory: int | None = None
    cpu: float | None = None

    def __str__(self) -> str:
        memory = [] if self.memory is None else [f"{self.memory / UNITS['M']:.4g} MiB of memory"]
        return ", ".join(memory if self.cpu is None else [*memory, f"{self.cpu:g} processors"])

    def __bool__(self) -> bool:
        return self.memory is not None or self.cpu is not None


def size_of(written: str | int) -> int:
    """A written size in bytes; units are powers of 1024, `KiB`, `KB` and `K` alike."""
    if isinstance(written, int):
        return written
    match = WRITTEN.fullmatch(written)
    if match is None:
        raise ValueError(written)
    return int(float(match[1]) * UNITS[match[2]])
