"""Draws what was sold on each day as bars, in the page and without a script: the promotion's share stands on top."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from babel.dates import format_skeleton
from babel.numbers import format_compact_currency
from markupsafe import Markup
from sitekit.pages.formats import visitor_locale

from bookshop.contracts.items import CURRENCY
from bookshop.contracts.transactions import SalesDay

WIDTH, HEIGHT = 720, 270
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 14, 30  # what the words at the sides take
MOST_LINES = 5
STEPS = (1, 2, 2.5, 5)


def sales_chart(days: Sequence[SalesDay], title: str, description: str) -> Markup:
    """The chart with a title and a description for those who hear the page; the table beside it has the numbers."""
    step, lines = _scale_of(max((each.revenue for each in days), default=0))
    most = step * lines
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    wide = inner_width / max(1, len(days))

    def up(cents: int) -> float:
        return HEIGHT - BOTTOM - inner_height * cents / most

    parts = [_scale(step * number, up(step * number)) for number in range(lines + 1)]
    for number, each in enumerate(days):
        x, plain = LEFT + wide * number + wide * 0.14, each.revenue - each.promoted_revenue
        parts += [
            _bar("bar", x, up(plain), wide * 0.72, HEIGHT - BOTTOM - up(plain)),
            _bar("bar promoted", x, up(each.revenue), wide * 0.72, up(plain) - up(each.revenue)),
        ]
        if (len(days) - 1 - number) % 7 == 0:
            parts.append(_below(LEFT + wide * (number + 0.5), each))
    head = Markup('<title id="chart-title">{}</title><desc id="chart-desc">{}</desc>').format(title, description)
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="chart-title chart-desc">{}{}</svg>'
    ).format(WIDTH, HEIGHT, head, Markup("").join(parts))


def _scale_of(most: int) -> tuple[int, int]:
    """The round amount between two lines, and how few of them reach over the highest bar."""
    size = 100
    while True:
        for factor in STEPS:
            lines = max(1, -(-most // int(size * factor)))
            if lines <= MOST_LINES:
                return int(size * factor), lines
        size *= 10


def _scale(cents: int, y: float) -> Markup:
    return Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
    ).format(LEFT, WIDTH - RIGHT, LEFT - 8, y + 4, _short(cents), y=y)


def _short(cents: int) -> str:
    return format_compact_currency(Decimal(cents).scaleb(-2), CURRENCY, locale=visitor_locale(), fraction_digits=1)


def _below(x: float, of: SalesDay) -> Markup:
    shown = format_skeleton("MMMd", of.day, locale=visitor_locale())
    return Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(x, HEIGHT - 10, shown)


def _bar(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    if height <= 0:
        return Markup("")
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x, y, width, height
    )
