"""Runs the promotion: what it gives for a cart, and who is written to about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final
from uuid import uuid4

from bookshop.contracts.customers import Customers
from bookshop.contracts.items import PricedItem
from bookshop.contracts.promotions import BOOKS_NEEDED, Campaign, Offer, Promotions, ReminderDue
from bookshop.contracts.transactions import Transactions
from bookshop.promotions import tables
from bookshop.promotions.settings import PromotionsSettings
from meristem import Clock, Database, IntegrityViolation, Service, current, every


@final
@dataclass
class PromotionsService(Promotions, Service, tables=tables.metadata):
    """Knows the rule; who has used the promotion, it asks transactions, whose database sees to it that it is once."""

    transactions: Transactions
    customers: Customers
    database: Database
    settings: PromotionsSettings
    clock: Clock

    async def is_open(self) -> bool:
        identity = current().user
        return await self._is_open_to(None if identity is None else int(identity.subject))

    async def offer(self, items: list[PricedItem], customer_id: int | None = None) -> Offer:
        missing = max(0, BOOKS_NEEDED - sum(item.copies for item in items))
        if not await self._is_open_to(customer_id):
            return Offer(is_open=False, applies=False)
        if missing:
            return Offer(is_open=True, applies=False, missing=missing)
        cheapest = min(items, key=lambda item: item.price)
        return Offer(is_open=True, applies=True, discount=cheapest.price, free_book_id=cheapest.book_id)

    async def begin_campaign(self) -> Campaign:
        begun = Campaign(campaign_id=uuid4(), begun=self.clock.now(), letters=0)
        row = {"campaign_id": begun.campaign_id, "begun": begun.begun, "letters": 0, "reached": 0, "is_running": True}
        while True:
            try:
                async with self.database.begin() as tx:
                    await tx.execute(tables.INSERT_CAMPAIGN, row)
            except IntegrityViolation:
                under_way = await self.database.fetch_one(tables.UNDER_WAY, into=Campaign)
                if under_way is not None:  # else it has just ended
                    return under_way
            else:
                return begun

    async def campaigns(self) -> list[Campaign]:
        return await self.database.fetch_all(tables.LATEST, into=Campaign)

    @every(seconds=2.0)
    async def write_to_the_next(self) -> None:
        """Go on with the campaign that is under way, a page of customers at a time, until it has reached the last.

        How far it came is written in the transaction that makes the page's mails due: a process that is killed leaves
        nobody out, and writes to nobody twice.
        """
        campaign = await self.database.fetch_one(tables.UNDER_WAY, into=Campaign)
        if campaign is None:
            return
        asked = {"campaign_id": campaign.campaign_id}
        while (reached := await self.database.fetch_value(tables.REACHED, asked)) is not None:
            page = await self.customers.who_want_offers(after=reached, limit=self.settings.page)
            used = set(await self.transactions.who_used_promotion([each.customer_id for each in page]))
            wanted = [each for each in page if each.customer_id not in used]
            is_last = len(page) < self.settings.page
            step = {
                "wanted": campaign.campaign_id,
                "before": reached,
                "after": page[-1].customer_id if page else reached,
                "more": len(wanted),
                "over": self.clock.now() if is_last else None,
                "goes_on": None if is_last else True,
            }
            async with self.database.begin() as tx:
                if not (await tx.execute(tables.MOVE_ON, step)).rowcount:
                    return  # another replica was faster
                for each in wanted:
                    await tx.publish(
                        ReminderDue(
                            customer_id=each.customer_id,
                            campaign_id=campaign.campaign_id,
                            name=each.name,
                            email=each.email,
                        )
                    )
            if is_last:
                return

    async def _is_open_to(self, customer_id: int | None) -> bool:
        if not self.settings.running:
            return False
        return customer_id is None or not await self.transactions.promotion_used(customer_id)
