"""What is done with figures of several rounds: the middle one, how far the others are from it, and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Spread(NamedTuple):
    """What several rounds found, in their order."""

    figures: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def low(self) -> float:
        return min(self.figures)

    @property
    def high(self) -> float:
        return max(self.figures)

    @property
    def rounds(self) -> int:
        return len(self.figures)

    @property
    def noise(self) -> float:
        """How far apart the rounds are, as a share of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0

    def quantiles(self) -> tuple[float, float]:
        """Between these two lie eight rounds of ten."""
        tenths = statistics.quantiles(self.figures, n=10, method="inclusive")
        return tenths[0], tenths[-1]

    def against(self, other: Spread) -> Spread:
        """The ratios to `other`, round by round: what a round of this was measured beside, not what came later."""
        return spread(ours / theirs for ours, theirs in zip(self.figures, other.figures, strict=False) if theirs)


def spread(figures: Iterable[float]) -> Spread:
    """The spread of what several rounds found; raises ValueError when there was none."""
    found = tuple(figures)
    if not found:
        raise ValueError("no round was run: give --rounds 1 or more")
    return Spread(found)


def spreads(rounds: Iterable[Mapping[str, float]]) -> dict[str, Spread]:
    """The spread of each figure that every round has."""
    found = list(rounds)
    return {name: spread(each[name] for each in found) for name in found[0]} if found else {}


def short(value: float) -> str:
    """A figure as people read it: three digits that count, `1.2k` and `3.4M` beyond."""
    for limit, unit, divisor in ((1e6, "M", 1e6), (10_000, "k", 1e3)):
        if value >= limit:
            return f"{_digits(value / divisor)}{unit}"
    return f"{value:,.0f}" if value >= 1000 else _digits(value)


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
