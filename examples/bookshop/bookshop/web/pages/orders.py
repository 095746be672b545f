"""What a customer has ordered: the list, an order, and sending it back."""

from __future__ import annotations

from uuid import UUID

from quart import Blueprint, flash, render_template, url_for
from quart.wrappers import Response
from sitekit.pages.visitors import acting, glance, leads_to, signed_in

from bookshop.contracts.catalogue import Book, Catalogue
from bookshop.contracts.checkout import Checkout
from bookshop.contracts.transactions import NotRefundable, Order, OrderStatus, Transactions
from bookshop.web.paging import page_asked_for

blueprint = Blueprint("orders", __name__)

PER_PAGE = 20

STATES = {
    OrderStatus.OPEN: "being paid",
    OrderStatus.PAID: "being packed",
    OrderStatus.PLACED: "ordered and paid",
    OrderStatus.FAILED: "not ordered",
    OrderStatus.REFUNDING: "on its way back",
    OrderStatus.REFUNDED: "sent back",
}


@blueprint.get("/orders")
@signed_in
async def mine() -> str:
    """The orders, newest first, by the page."""
    page = page_asked_for()
    with acting():
        # One more than is shown tells whether there is a next page.
        found = await Transactions.client().mine(PER_PAGE + 1, (page - 1) * PER_PAGE)
    orders = found[:PER_PAGE]
    return await render_template(
        "orders.html",
        orders=orders,
        covers=await _covers(orders),
        state=state_of,
        page=page,
        has_older=len(found) > PER_PAGE,
    )


@blueprint.get("/orders/<uuid:order_id>")
@signed_in
async def order(order_id: UUID) -> str:
    """One order with its books and what was paid."""
    return await _page(order_id, is_new=False)


@blueprint.get("/orders/<uuid:order_id>/thanks")
@signed_in
async def thanks(order_id: UUID) -> str:
    """The same order, as confirmed right after it was made."""
    return await _page(order_id, is_new=True)


@blueprint.post("/orders/<uuid:order_id>/refund")
@signed_in
async def refund(order_id: UUID) -> Response:
    """Send an order back, once however often the form is sent."""
    try:
        with acting():
            sent = await Checkout.client().refund(order_id)
    except NotRefundable:
        with acting():
            sent = await Transactions.client().order(order_id)
        if sent.status not in (OrderStatus.REFUNDING, OrderStatus.REFUNDED):  # else another form was faster
            await flash("This order can't be sent back.", "problem")
            return leads_to(url_for("orders.order", order_id=order_id))
    await flash(f"Your order is on its way back{', and so is your money' if sent.payment else ''}.")
    return leads_to(url_for("orders.order", order_id=order_id))


def state_of(order: Order) -> str:
    """How far an order has come, in words."""
    return "ordered" if order.status is OrderStatus.PLACED and not order.total else STATES[order.status]


async def _page(order_id: UUID, *, is_new: bool) -> str:
    with acting():
        found = await Transactions.client().order(order_id)
    return await render_template(
        "order.html", order=found, covers=await _covers([found]), state=state_of(found), is_new=is_new
    )


async def _covers(orders: list[Order]) -> dict[int, Book]:
    """The books as the catalogue draws them; an order is told without them where it is away."""
    ids = list(dict.fromkeys(item.book_id for each in orders for item in each.items))[:200]
    books = await glance(lambda: Catalogue.client().books(ids), []) if ids else []
    return {each.book_id: each for each in books}
