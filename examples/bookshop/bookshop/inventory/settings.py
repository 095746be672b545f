"""What can be set about the stock."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from meristem import Settings


class InventorySettings(Settings):
    """How many copies of a new book are delivered, and how long books are kept for somebody who hasn't paid yet."""

    first_delivery: Annotated[int, Meta(ge=0)] = 40
    reservation_minutes: Annotated[float, Meta(ge=0)] = 10.0
