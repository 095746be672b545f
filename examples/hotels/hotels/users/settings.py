"""What can be set about sessions; passwords and who guesses them have settings of their own."""

from __future__ import annotations

from meristem import Settings


class UsersSettings(Settings):
    """How many days a session lives without use."""

    session_days: float = 14.0
