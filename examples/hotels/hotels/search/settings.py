"""What can be set about search."""

from __future__ import annotations

from meristem import Settings


class SearchSettings(Settings):
    """Where the partner is, and how long a search waits for it: `partner_budget` seconds in all.

    After `partner_failures` failures in a row the partner is left alone for `partner_pause` seconds.
    """

    partner_url: str = "app://partner"
    partner_budget: float = 0.3
    partner_failures: int = 3
    partner_pause: float = 5.0
