"""Long tests of many cases: some of them on each day, all with `make faults`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from random import Random
from typing import TypeVar

Case = TypeVar("Case")


def sampled(cases: Iterable[Case], most: int, name: str) -> list[Case]:
    """As many of the cases at most, others tomorrow; all of them where `PARITY_SEED` says `whole`."""
    known, seed = list(cases), os.environ["PARITY_SEED"]
    return known if seed == "whole" else Random(f"{seed} {name}").sample(known, min(most, len(known)))
