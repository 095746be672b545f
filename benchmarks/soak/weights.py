"""Whether processes grow: memory, open files and sockets of each, sampled while they live.

Pure functions over samples; each gives sentences about what is wrong, none when all is well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

GROWTH = 6.0  # MB a minute
WEIGHT = 250.0  # MB
SETTLED = 60.0  # seconds of life after which a process has loaded what it needs
TOGETHER = 1.0  # seconds within which the samples of one moment are taken
LONG = 60.0  # seconds that a slope needs beyond that


class Sample(NamedTuple):
    """A process at a moment."""

    at: float
    memory: float
    files: int


def too_heavy(samples: Mapping[tuple[str, int], Sequence[Sample]]) -> list[str]:
    """No process weighs too much, and none that lived long enough to tell grows; samples are by name and pid."""
    wrong = []
    for (name, pid), all_ in samples.items():
        if (most := max(each.memory for each in all_)) > WEIGHT:
            wrong.append(f"{name} (pid {pid}) weighed {most:.0f} MB")
        grown = slope([each for each in all_ if each.at - all_[0].at >= SETTLED])
        if grown is not None and grown > GROWTH:
            wrong.append(f"{name} (pid {pid}) grew by {grown:.1f} MB a minute")
    return wrong


def slope(samples: Sequence[Sample]) -> float | None:
    """MB a minute by least squares; None when the samples don't reach far enough."""
    if len(samples) < 3 or samples[-1].at - samples[0].at < LONG:
        return None
    middle = sum(each.at for each in samples) / len(samples)
    mean = sum(each.memory for each in samples) / len(samples)
    spread = sum((each.at - middle) ** 2 for each in samples)
    return 60 * sum((each.at - middle) * (each.memory - mean) for each in samples) / spread


def leaking_files(samples: Mapping[tuple[str, int], Sequence[Sample]], allowed: int) -> list[str]:
    """No process has many more files and sockets open at the end, when nothing goes on, than it had at first.

    One that was killed before, perhaps in its busiest moment, was never at rest.
    """
    end = max((all_[-1].at for all_ in samples.values()), default=0.0)
    return [
        f"{name} (pid {pid}) has {all_[-1].files} files and sockets open, and had {all_[0].files} at first"
        for (name, pid), all_ in samples.items()
        if all_[-1].at > end - TOGETHER and all_[-1].files > all_[0].files + allowed
    ]
