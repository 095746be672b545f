"""Why a certificate was not issued."""

from __future__ import annotations


class OrderFailureError(Exception):
    """The authority has not issued a certificate: the text says why.

    `is_away` that it was never asked, `is_limited` that it wants to be asked seldom.
    """

    def __init__(self, text: str, *, is_away: bool = False, is_limited: bool = False) -> None:
        super().__init__(text)
        self.is_away = is_away
        self.is_limited = is_limited
