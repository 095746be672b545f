"""Prices, years and shelves as a page shows them."""

from __future__ import annotations

from decimal import Decimal

from markupsafe import Markup
from quart import Quart
from sitekit.pages.formats import price

from bookshop.contracts.catalogue import Book, Category
from bookshop.contracts.items import CURRENCY

SHELVES = {
    Category.MYSTERY: "Mystery",
    Category.SCIENCE_FICTION: "Science fiction",
    Category.SELF_HELP: "Self-help",
}


def money(cents: int) -> Markup:
    """An amount of euro cents with its currency."""
    return price(Decimal(cents).scaleb(-2), CURRENCY)


def published(book: Book) -> str:
    """The year of a book, as people write it."""
    return f"{-book.year} BC" if book.year < 0 else str(book.year)


def install(app: Quart) -> None:
    """Teach the templates to write prices, years and the names of shelves."""
    app.jinja_env.filters.update(money=money, published=published, shelf=SHELVES.__getitem__)
    app.jinja_env.globals["shelves"] = SHELVES
