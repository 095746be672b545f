"""Buys carts: a checkout ends either complete or undone, whatever fails on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final
from uuid import UUID

from bookshop.checkout.pricing import new_order, priced, subtotal
from bookshop.contracts.carts import Carts
from bookshop.contracts.catalogue import Catalogue
from bookshop.contracts.checkout import CartEmpty, Checkout, CheckoutRequest, Quote, QuoteLine, order_id_of
from bookshop.contracts.customers import Customer, Customers
from bookshop.contracts.inventory import Inventory, Reservation
from bookshop.contracts.items import Item, PricedItem
from bookshop.contracts.payments import Charge, Payments
from bookshop.contracts.promotions import Promotions
from bookshop.contracts.transactions import Order, Transactions
from meristem import CallError, Code, FieldViolation, Flow, Service, current, saga

A_WEEK = 7 * 86400.0
NO_CARD = "Only what costs nothing is bought without a card; send the bank's token of one."


@final
@dataclass
class CheckoutService(Checkout, Service):
    """Ties all others together by two sagas: one buys a cart, one takes an order back. It keeps their journal alone."""

    carts: Carts
    catalogue: Catalogue
    customers: Customers
    inventory: Inventory
    payments: Payments
    promotions: Promotions
    transactions: Transactions

    async def quote(self, visitor: str = "") -> Quote:
        cart = await self.carts.cart(visitor)
        ids = [item.book_id for item in cart.items]
        items = priced(cart, await self.catalogue.books(ids))
        offer = await self.promotions.offer(items, _customer_id())
        left = {each.book_id: each.left for each in await self.inventory.stock(ids)}
        whole = subtotal(items)
        return Quote(
            cart_version=cart.version,
            lines=[QuoteLine(item=item, left=left[item.book_id]) for item in items],
            subtotal=whole,
            offer=offer,
            total=whole - offer.discount,
        )

    @saga
    async def check_out(self, flow: Flow, request: CheckoutRequest) -> Order:
        if request.total and request.card is None:
            raise CallError(Code.INVALID_ARGUMENT, f"card: {NO_CARD}", violations=(FieldViolation("card", NO_CARD),))
        customer = await self._customer()
        cart = await flow.with_undo(self.carts.take(request.cart_version), self.carts.put_back)
        items = priced(cart, await self.catalogue.books([item.book_id for item in cart.items]))
        if not items:
            raise CartEmpty
        offer = await self.promotions.offer(items, customer.customer_id)
        order_id = order_id_of(customer.customer_id, cart.version)
        new = new_order(order_id, request, customer, items, offer)
        await flow.with_undo(self.transactions.open(new), self.transactions.fail)
        await flow.with_undo(self.inventory.reserve(new.order_id, _copies(items)), self.inventory.release)
        if new.total and request.card is not None:
            charge = Charge(order_id=new.order_id, amount=new.total, card=request.card)
            payment = await flow.with_undo(self.payments.charge(charge), self.payments.refund)
            await self.transactions.settle(payment)
        await self.inventory.confirm(new.order_id)
        return await self.transactions.place(new.order_id)  # who hears of it writes the mail

    @saga(patience=A_WEEK)  # a bank that is closed opens again: the money must go back
    async def refund(self, flow: Flow, order_id: UUID) -> Order:
        order = await flow.with_undo(self.transactions.begin_refund(order_id), self.transactions.keep)
        if order.payment is not None:
            await self.payments.refund(order.payment)
        await self.inventory.release(Reservation(order_id=order_id, items=_copies(order.items), expires=order.opened))
        return await self.transactions.refunded(order_id)

    async def _customer(self) -> Customer:
        customer_id = _customer_id()
        found = None if customer_id is None else await self.customers.customer(customer_id)
        if found is None:
            raise CallError(Code.UNAUTHENTICATED, "sign in first", may_have_happened=False)
        return found


def _customer_id() -> int | None:
    identity = current().user
    return None if identity is None else int(identity.subject)


def _copies(items: list[PricedItem]) -> list[Item]:
    return [Item(book_id=item.book_id, copies=item.copies) for item in items]
