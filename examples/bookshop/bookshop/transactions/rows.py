"""An order as it is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from bookshop.contracts.transactions import NewOrder, Order, OrderStatus


def columns(new: NewOrder, opened: datetime) -> dict[str, Any]:
    """The row of an order that is opened."""
    return {
        **msgspec.structs.asdict(new),
        "status": OrderStatus.OPEN.value,
        "copies": sum(item.copies for item in new.items),
        "opened": opened,
        "day": opened.date(),
    }


def opened_order(new: NewOrder, opened: datetime) -> Order:
    """The order as its customer sees it from then on."""
    return Order(**msgspec.structs.asdict(new), status=OrderStatus.OPEN, opened=opened)
