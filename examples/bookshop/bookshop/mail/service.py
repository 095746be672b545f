"""Writes to customers, once for each thing that happens.

Each letter is due by an event, which waits in its publisher's database while the mail server is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from bookshop.contracts.customers import Customers
from bookshop.contracts.mail import Letter, Mail, Sent
from bookshop.contracts.promotions import ReminderDue
from bookshop.contracts.transactions import OrderPlaced, OrderRefunded
from bookshop.mail import tables
from bookshop.mail.letters import Stationery, Written
from bookshop.mail.smtp import MailServer
from meristem import Clock, Database, Service, on


@final
@dataclass
class MailService(Mail, Service, tables=tables.metadata, provides=[MailServer, Stationery]):
    """Mail by SMTP; what was sent stands in a table."""

    server: MailServer
    stationery: Stationery
    customers: Customers
    database: Database
    clock: Clock

    async def sent(self, recipient: str) -> list[Sent]:
        return await self.database.fetch_all(tables.LETTERS_TO, {"recipient": recipient}, into=Sent)

    @on(OrderPlaced)
    async def placed(self, event: OrderPlaced) -> None:
        """Thank for the order."""
        order = event.order
        which = Written(letter=Letter.ORDER, about=str(order.order_id), name=order.name, recipient=order.email)
        await self._send(which, order=order)

    @on(OrderRefunded)
    async def refunded(self, event: OrderRefunded) -> None:
        """Say that the money is on its way."""
        order = event.order
        which = Written(letter=Letter.REFUND, about=str(order.order_id), name=order.name, recipient=order.email)
        await self._send(which, order=order)

    @on(ReminderDue)
    async def remind(self, event: ReminderDue) -> None:
        """Tell of the promotion, unless they want no offers any more: the letter may have waited for days."""
        customer = await self.customers.customer(event.customer_id)
        if customer is None or not customer.offers:
            return
        about = str(event.campaign_id)
        await self._send(Written(letter=Letter.REMINDER, about=about, name=event.name, recipient=event.email))

    async def _send(self, which: Written, **values: Any) -> None:
        """Hand the letter over, then write down that it was."""
        key = {"letter": which.letter.value, "about": which.about, "recipient": which.recipient}
        if await self.database.fetch_value(tables.LETTER, key) is not None:
            return
        now = self.clock.now()
        await self.server.send(self.stationery.write(which, now, **values))
        row = {**key, "message_id": self.stationery.message_id(which), "sent": now}
        async with self.database.begin() as tx:
            tx.defer(tables.INSERT_LETTER, row)
