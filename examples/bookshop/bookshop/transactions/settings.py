"""What can be set about orders."""

from __future__ import annotations

from meristem import Settings


class TransactionsSettings(Settings):
    """For how many days an order can be sent back."""

    refund_days: float = 14.0
