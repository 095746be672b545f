"""What can be set about the stock."""

from __future__ import annotations

from meristem import Settings


class InventorySettings(Settings):
    """How many copies of a new book are delivered, and how long books are kept for somebody who hasn't paid yet."""

    first_delivery: int = 40
    reservation_minutes: float = 10.0
