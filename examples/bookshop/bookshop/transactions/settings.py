"""What can be set about orders."""

from __future__ import annotations

from meristem import Settings


class TransactionsSettings(Settings):
    """For how many days an order can be sent back, and of how many days a new shop makes up a history of sales."""

    refund_days: float = 14.0
    history_days: int = 60
