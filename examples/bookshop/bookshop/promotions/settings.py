"""What can be set about the promotion."""

from __future__ import annotations

from meristem import Settings


class PromotionsSettings(Settings):
    """Whether the promotion runs, and to how many customers at a time a campaign writes."""

    running: bool = True
    page: int = 100
