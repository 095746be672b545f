"""What can be set about rooms."""

from __future__ import annotations

from meristem import Settings


class RoomsSettings(Settings):
    """How many hotels there are, and how long a room is kept for somebody who hasn't paid yet."""

    hotels: int = 5000
    hold_minutes: float = 10.0
