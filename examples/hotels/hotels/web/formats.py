"""Prices as the visitor's browser asks for them."""

from decimal import Decimal

from markupsafe import Markup
from quart import Quart
from sitekit.pages.formats import price

from hotels.contracts.money import Money


def money(value: Money) -> Markup:
    """An amount with its currency."""
    return price(value.amount, value.currency)


def times(value: Money, count: int) -> Money:
    """A price so many times."""
    return Money(amount=value.amount * Decimal(count), currency=value.currency)


def install(app: Quart) -> None:
    """Teach the templates to write prices."""
    app.jinja_env.filters.update(money=money, times=times)
