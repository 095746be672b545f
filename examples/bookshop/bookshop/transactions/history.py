"""The sales of weeks in which the shop wasn't there: made up, by a seed, so that a new shop's report shows something.

The promotion began halfway. Its customers are the readers whom recommendations have made up, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from bookshop.contracts.transactions import OrderStatus
from bookshop.transactions import tables
from meristem import Database

SEED: Final = 1914
READERS: Final = 2000
PRICES: Final = (699, 799, 899, 949, 999, 1049, 1199, 1299)
BUSY: Final = (0.9, 0.8, 0.9, 1.0, 1.2, 1.5, 1.1)  # Monday to Sunday
NOWHERE: Final = {"name": "", "street": "", "postcode": "", "city": "", "country": ""}


async def make_up(database: Database, now: datetime, days: int) -> None:
    """Fill an empty record with orders of the days before this one; one that isn't empty is left as it is."""
    async with database.begin() as tx:
        if days and await tx.fetch_value(tables.COUNT) == 0:
            await tx.execute(tables.INSERT_ORDER, list(orders(now, days)))


def orders(now: datetime, days: int) -> Iterator[dict[str, Any]]:
    """The rows of orders, the oldest first."""
    chance = Random(SEED)  # noqa: S311 - nothing is kept secret by it
    new_readers = iter(chance.sample(range(1, READERS + 1), READERS))  # each uses the promotion once
    for back in range(days, 0, -1):
        morning = (now - timedelta(days=back)).replace(hour=8, minute=0, second=0, microsecond=0)
        runs = back <= days // 2
        for _ in range(round(chance.uniform(8, 13) * BUSY[morning.weekday()] * (1.15 if runs else 1.0))):
            promoted = runs and chance.random() < 0.34
            copies = chance.choice((3, 3, 3, 4, 5)) if promoted else chance.choice((1, 1, 1, 2, 2, 3))
            prices = [chance.choice(PRICES) for _ in range(copies)]
            discount = min(prices) if promoted else 0
            reader = next(new_readers, None) if promoted else chance.randint(1, READERS)
            if reader is None:
                return
            yield {
                "order_id": UUID(int=chance.getrandbits(128), version=4),
                "customer_id": reader,
                "status": OrderStatus.PLACED.value,
                "name": f"Reader {reader}",
                "email": f"reader{reader}@books.invalid",
                "address": NOWHERE,
                "items": [],
                "copies": copies,
                "discount": discount,
                "total": sum(prices) - discount,
                "buy_two_get_one_free_promo": promoted,
                "opened": (opened := morning + timedelta(minutes=chance.randrange(14 * 60))),
                "day": opened.date(),
            }
