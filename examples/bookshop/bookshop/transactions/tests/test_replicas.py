"""Two processes with one database: of orders that both open at a time, one has the promotion."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bookshop.contracts.transactions import Order, PromotionUsed, Transactions
from bookshop.transactions.service import TransactionsService
from bookshop.transactions.tests.test_transactions import NEW, new

from meristem import System, using
from meristem.system.placement import Placement
from meristem.system.placement_tables import ProcessTable
from meristem.testing import running

system = System("bookshop", services=[TransactionsService])


async def test_of_orders_that_two_replicas_open_at_a_time_one_has_the_promotion(tmp_path: Path) -> None:
    twice = Placement(processes={"transactions": ProcessTable(("transactions",), replicas=2)})
    url = f"sqlite:///{tmp_path}/{{service}}.db"
    async with running(system, where="processes", placement=twice, database=url, settings=NEW) as app:
        transactions = app.client(Transactions)
        for customer_id in range(1, 6):

            async def tab(key: str, customer_id: int = customer_id) -> Order:
                with using(key=key):
                    return await transactions.open(new(customer_id))

            answers = await asyncio.gather(*(tab(f"{customer_id} {n}") for n in range(8)), return_exceptions=True)
            assert sum(isinstance(each, Order) for each in answers) == 1, answers
            assert sum(isinstance(each, PromotionUsed) for each in answers) == 7, answers
        assert sorted(await transactions.who_used_promotion(list(range(1, 9)))) == [1, 2, 3, 4, 5]
