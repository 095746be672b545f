"""Prices and dates as the reader's browser asks for them, with the exact value for machines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal
from markupsafe import Markup
from quart import Quart, request

from bookshop.contracts.catalogue import Book, Category
from bookshop.contracts.items import CURRENCY

ENGLISH = Locale("en", "GB")
SHELVES = {
    Category.MYSTERY: "Mystery",
    Category.SCIENCE_FICTION: "Science fiction",
    Category.SELF_HELP: "Self-help",
}


@lru_cache(maxsize=512)
def known_locale(tag: str) -> Locale | None:
    """The locale that a language tag of at most 35 characters (RFC 5646, section 4.4.1) names, if there is one."""
    try:
        return Locale.parse(tag, sep="-") if 0 < len(tag) <= 35 else None
    except (UnknownLocaleError, ValueError, TypeError):
        return None


def reader_locale() -> Locale:
    """The first of the reader's languages that we know how to write numbers and dates in."""
    for tag, quality in request.accept_languages:
        found = known_locale(tag) if quality > 0 else None
        if found is not None:
            return ENGLISH if str(found) == "en" else found
    return ENGLISH


def money(cents: int) -> Markup:
    """An amount of euro cents with its currency."""
    amount = Decimal(cents).scaleb(-2)
    return _foreign("bdi", format_currency(amount, CURRENCY, locale=reader_locale()), "money")


def day(value: date | datetime, length: str = "long") -> Markup:
    """A day; `length` is full, long, medium or short. That of a moment is by UTC."""
    on = value.astimezone(UTC).date() if isinstance(value, datetime) else value
    return _foreign("time", format_date(on, format=length, locale=reader_locale()), datetime=on.isoformat())


def number(value: int) -> str:
    """A whole number with the separators of the reader's language."""
    return format_decimal(value, locale=reader_locale())


def plural(count: int, one: str, many: str) -> str:
    """`3 books`, `1 book`."""
    return f"{number(count)} {one if count == 1 else many}"


def published(book: Book) -> str:
    """The year of a book, as people write it."""
    return f"{-book.year} BC" if book.year < 0 else str(book.year)


def _foreign(tag: str, text: str, kind: str = "", **attributes: str) -> Markup:
    """Mark text whose language is not that of the page, for those who hear it."""
    locale = reader_locale()
    if locale.language != "en":
        attributes["lang"] = str(locale).replace("_", "-")
    if kind:
        attributes["class"] = kind
    written = Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in attributes.items())
    return Markup("<{tag}{attributes}>{text}</{tag}>").format(tag=Markup(tag), attributes=written, text=text)  # noqa: S704


def install(app: Quart) -> None:
    """Teach the templates to write prices, dates and the names of shelves."""
    app.jinja_env.filters.update(
        money=money, day=day, number=number, plural=plural, published=published, shelf=SHELVES.__getitem__
    )
    app.jinja_env.globals["shelves"] = SHELVES
