"""The record of what was sold, and of who used the promotion: its database sees to it that nobody does twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import final
from uuid import UUID

from bookshop.contracts.payments import Payment
from bookshop.contracts.transactions import (
    NewOrder,
    NotRefundable,
    Order,
    OrderPlaced,
    OrderRefunded,
    OrderStatus,
    OrderUnknown,
    PromotionUsed,
    SalesDay,
    Transactions,
)
from bookshop.transactions import rows, tables
from bookshop.transactions.history import make_up
from bookshop.transactions.settings import TransactionsSettings
from meristem import CallError, Clock, Code, Database, IntegrityViolation, Service, current


@final
@dataclass
class TransactionsService(Transactions, Service, tables=tables.metadata):
    """Orders in one table, each change of status a statement that says what it changes from."""

    database: Database
    settings: TransactionsSettings
    clock: Clock

    async def start(self) -> None:
        await make_up(self.database, self.clock.now(), self.settings.history_days)

    async def promotion_used(self, customer_id: int) -> bool:
        return await self.database.fetch_value(tables.PROMOTION_USED, {"customer_id": customer_id}) is not None

    async def who_used_promotion(self, customer_ids: list[int]) -> list[int]:
        return await self.database.fetch_all(tables.WHO_USED_PROMOTION, {"customer_ids": customer_ids}, into=int)

    async def open(self, new: NewOrder) -> Order:
        now = self.clock.now()
        async with self.database.begin() as tx:
            try:
                async with self.database.begin():
                    await tx.execute(tables.INSERT_ORDER, rows.columns(new, now))
            except IntegrityViolation as violation:
                if await tx.fetch_value(tables.PROMOTION_USED, {"customer_id": new.customer_id}) is None:
                    raise
                raise PromotionUsed(customer_id=new.customer_id) from violation
        return rows.opened_order(new, now)

    async def settle(self, payment: Payment) -> None:
        await self.database.execute(tables.SETTLE, {"wanted": payment.order_id, "made": payment})

    async def place(self, order_id: UUID) -> Order:
        async with self.database.begin() as tx:
            # What costs nothing is never paid.
            before = {OrderStatus.PAID} if (await self._order(order_id)).total else {OrderStatus.OPEN}
            moved = await self._move(order_id, before, OrderStatus.PLACED)
            order = await self._order(order_id)
            if moved:
                await tx.publish(OrderPlaced(order_id=order_id, order=order))
        return order

    async def fail(self, order: Order) -> None:
        async with self.database.begin() as tx:
            if await self._move(order.order_id, {OrderStatus.OPEN, OrderStatus.PAID}, OrderStatus.FAILED):
                return
            # Whether it was placed was not known where it was undone: it was, and its customer has been told.
            if await self._move(order.order_id, {OrderStatus.PLACED}, OrderStatus.REFUNDED):
                await tx.publish(OrderRefunded(order_id=order.order_id, order=await self._order(order.order_id)))

    async def mine(self, limit: int = 200, offset: int = 0) -> list[Order]:
        page = {"customer_id": _customer_id(), "most": limit, "skipped": offset}
        return await self.database.fetch_all(tables.ORDERS_OF, page, into=Order)

    async def order(self, order_id: UUID) -> Order:
        found = await self.database.fetch_one(tables.ORDER, {"order_id": order_id}, into=Order)
        if found is None or found.customer_id != _customer_id():
            raise OrderUnknown(order_id=order_id)
        return found

    async def begin_refund(self, order_id: UUID) -> Order:
        async with self.database.begin():
            order = await self.order(order_id)
            is_late = self.clock.now() - order.opened > timedelta(days=self.settings.refund_days)
            if is_late or not await self._move(order_id, {OrderStatus.PLACED}, OrderStatus.REFUNDING):
                raise NotRefundable(order_id=order_id)
            return await self._order(order_id)

    async def keep(self, order: Order) -> None:
        await self._move(order.order_id, {OrderStatus.REFUNDING}, OrderStatus.PLACED)

    async def refunded(self, order_id: UUID) -> Order:
        async with self.database.begin() as tx:
            moved = await self._move(order_id, {OrderStatus.REFUNDING}, OrderStatus.REFUNDED)
            order = await self._order(order_id)
            if moved:
                await tx.publish(OrderRefunded(order_id=order_id, order=order))
        return order

    async def sales(self, days: int = 30) -> list[SalesDay]:
        today = self.clock.now().date()
        shown = [today - timedelta(days=back) for back in reversed(range(days))]
        found = await self.database.fetch_all(tables.SALES, {"since": shown[0]}, into=SalesDay)
        known = {each.day: each for each in found}
        return [known.get(day, SalesDay(day=day)) for day in shown]

    async def _move(self, order_id: UUID, before: set[OrderStatus], after: OrderStatus) -> bool:
        """Change the status of an order; False when it has none of those before."""
        change = {"wanted": order_id, "before": [each.value for each in before], "after": after.value}
        return (await self.database.execute(tables.MOVE, change)).rowcount == 1

    async def _order(self, order_id: UUID) -> Order:
        found = await self.database.fetch_one(tables.ORDER, {"order_id": order_id}, into=Order)
        if found is None:
            raise CallError(Code.NOT_FOUND, f"order {order_id} is not in the record", may_have_happened=False)
        return found


def _customer_id() -> int:
    identity = current().user
    if identity is None:
        raise CallError(Code.UNAUTHENTICATED, "sign in first", may_have_happened=False)
    return int(identity.subject)
