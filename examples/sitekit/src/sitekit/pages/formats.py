"""Prices, numbers and days as the visitor's browser asks for them, with the exact value for machines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from markupsafe import Markup
from quart import Quart, request

ENGLISH = Locale("en", "GB")


@lru_cache(maxsize=512)
def known_locale(tag: str) -> Locale | None:
    """The locale that a language tag of at most 35 characters (RFC 5646, section 4.4.1) names, if there is one."""
    try:
        return Locale.parse(tag, sep="-") if 0 < len(tag) <= 35 else None
    except (UnknownLocaleError, ValueError, TypeError):
        return None


def visitor_locale() -> Locale:
    """The first of the visitor's languages that we know how to write numbers and days in."""
    for tag, quality in request.accept_languages:
        found = known_locale(tag) if quality > 0 else None
        if found is not None:
            return ENGLISH if str(found) == "en" else found
    return ENGLISH


def price(amount: Decimal, currency: str) -> Markup:
    """An amount with its currency."""
    return _foreign("bdi", format_currency(amount, currency, locale=visitor_locale()), "money")


def day(value: date | datetime, length: str = "medium") -> Markup:
    """A day; `length` is full, long, medium or short. That of a moment is by UTC."""
    on = value.astimezone(UTC).date() if isinstance(value, datetime) else value
    return _foreign("time", format_date(on, format=length, locale=visitor_locale()), datetime=on.isoformat())


def moment(value: datetime) -> Markup:
    """A day and time, in UTC because the server cannot know where the visitor is."""
    at = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    locale = visitor_locale()
    shown = f"{format_date(at, format='medium', locale=locale)}, {format_time(at, format='short', locale=locale)} UTC"
    return _foreign("time", shown, datetime=at.isoformat(timespec="seconds"))


def number(value: int) -> str:
    """A whole number with the separators of the visitor's language."""
    return format_decimal(value, locale=visitor_locale())


def plural(count: int, one: str, many: str) -> str:
    """`3 nights`, `1 night`."""
    return f"{number(count)} {one if count == 1 else many}"


def _foreign(tag: str, text: str, kind: str = "", **attributes: str) -> Markup:
    """Mark text whose language is not that of the page, for those who hear it."""
    locale = visitor_locale()
    if locale.language != "en":
        attributes["lang"] = str(locale).replace("_", "-")
    if kind:
        attributes["class"] = kind
    written = Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in attributes.items())
    return Markup("<{tag}{attributes}>{text}</{tag}>").format(tag=Markup(tag), attributes=written, text=text)  # noqa: S704


def install(app: Quart) -> None:
    """Teach the templates to write numbers and days."""
    app.jinja_env.filters.update(day=day, moment=moment, number=number, plural=plural)
