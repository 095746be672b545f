"""What the owner of the shop reads: whether the promotion is worth what it costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import msgspec
from quart import Blueprint, abort, flash, render_template, url_for
from quart.wrappers import Response
from sitekit.pages.formats import plural
from sitekit.pages.forms import fresh_key
from sitekit.pages.visitors import acting, glance, leads_to, signed_in

from bookshop.contracts.promotions import Promotions
from bookshop.contracts.transactions import SalesDay, Transactions
from bookshop.web.chart import sales_chart
from bookshop.web.formats import money
from bookshop.web.reader import is_owner

blueprint = Blueprint("report", __name__)

P = ParamSpec("P")
R = TypeVar("R")
DAYS = 30
TITLE = f"Sales of the last {DAYS} days"


class Sums(msgspec.Struct, frozen=True):
    """Some orders together; amounts in cents."""

    orders: int
    copies: int
    revenue: int

    @property
    def copies_of_one(self) -> float:
        """How many copies an order has on average."""
        return self.copies / self.orders if self.orders else 0.0

    @property
    def revenue_of_one(self) -> int:
        """What an order brings on average."""
        return round(self.revenue / self.orders) if self.orders else 0


class Effect(msgspec.Struct, frozen=True):
    """Orders with the promotion beside those without, and what was given away for the former."""

    promoted: Sums
    plain: Sums
    discounts: int

    @staticmethod
    def of(days: Sequence[SalesDay]) -> Effect:
        promoted = Sums(
            sum(each.promoted_orders for each in days),
            sum(each.promoted_copies for each in days),
            sum(each.promoted_revenue for each in days),
        )
        plain = Sums(
            sum(each.orders for each in days) - promoted.orders,
            sum(each.copies for each in days) - promoted.copies,
            sum(each.revenue for each in days) - promoted.revenue,
        )
        return Effect(promoted, plain, sum(each.discounts for each in days))

    @property
    def more(self) -> int | None:
        """By how many per cent an order with the promotion brings more; None where there is nothing to compare."""
        if not (self.promoted.orders and self.plain.revenue_of_one):
            return None
        return round((self.promoted.revenue_of_one / self.plain.revenue_of_one - 1) * 100)


def for_owner(page: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Show a page to the shop's owners; to all others there is none."""

    @signed_in
    @wraps(page)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not is_owner():
            abort(404)
        return await page(*args, **kwargs)

    return guarded


@blueprint.get("/report")
@for_owner
async def sales() -> str:
    """Sales by day with and without the promotion, as a chart and as a table; and its campaigns."""
    with acting():
        days = await Transactions.client().sales(DAYS)
    campaigns = await glance(lambda: Promotions.client().campaigns(), None)
    effect = Effect.of(days)
    return await render_template(
        "report.html",
        title=TITLE,
        chart=sales_chart(days, TITLE, _told(effect)),
        days=[each for each in reversed(days) if each.orders],
        effect=effect,
        campaigns=campaigns,
        key=fresh_key(),
    )


@blueprint.post("/report/campaign")
@for_owner
async def campaign() -> Response:
    """Write to all who want offers and haven't used the promotion; while one is under way no other begins."""
    with acting():
        begun = await Promotions.client().begin_campaign()
    await flash(f"The campaign is under way: {plural(begun.letters, 'letter', 'letters')} so far.")
    return leads_to(url_for("report.sales"))


def _told(effect: Effect) -> str:
    """The chart in words."""
    promoted, plain = effect.promoted, effect.plain
    return (
        f"A bar for each day, as high as its sales. {plural(plain.orders, 'order', 'orders')} without the promotion "
        f"brought {money(plain.revenue).striptags()}; {plural(promoted.orders, 'order', 'orders')} with it, at the top "
        f"of the bars, brought {money(promoted.revenue).striptags()}."
    )
