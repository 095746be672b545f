"""Which content coding an answer goes out in: the one that its client likes best (RFC 9110, 12.5.3)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

GZIP: Final = b"gzip"
WEIGHT: Final = re.compile(rb"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
ALIASES: Final = {b"x-gzip": GZIP}  # RFC 9110, 8.4.1.3


@lru_cache(256)
def chosen_coding(accepted: bytes, offered: tuple[bytes, ...]) -> bytes | None:
    """The coding of those `offered` to which `Accept-Encoding` gives the greatest weight; of equals the first one.

    None for a client that takes none of them or would rather have the answer as it is. A weight that is none counts
    as 0.
    """
    weights: dict[bytes, float] = {}
    for each in accepted.lower().split(b","):
        coding, _, rest = (part.strip() for part in each.partition(b";"))
        weight = WEIGHT.fullmatch(rest)
        weights[ALIASES.get(coding, coding)] = 1.0 if not rest else float(weight[1]) if weight else 0.0
    others = weights.get(b"*", 0.0)
    best = max(offered, key=lambda coding: weights.get(coding, others))
    liked = weights.get(best, others)
    return best if liked > 0 and liked >= weights.get(b"identity", 0.0) else None
