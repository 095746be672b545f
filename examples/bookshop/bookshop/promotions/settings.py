"""What can be set about the promotion."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from meristem import Settings


class PromotionsSettings(Settings):
    """Whether the promotion runs, and to how many customers at a time a campaign writes."""

    running: bool = True
    page: Annotated[int, Meta(ge=1, le=500)] = 100
