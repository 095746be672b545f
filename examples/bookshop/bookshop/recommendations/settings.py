"""What can be set about recommendations."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from meristem import Settings


class RecommendationsSettings(Settings):
    """How many readers the made-up history has (0: none), and the least seconds between two trainings."""

    readers: Annotated[int, Meta(ge=0, le=10_000)] = 2_000
    retrain_seconds: Annotated[float, Meta(ge=0)] = 60.0
