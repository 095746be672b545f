"""Draws the cover of a book from its title, its author and the colours that the catalogue gives it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256

from markupsafe import Markup
from quart import Quart

from bookshop.contracts.catalogue import Book, Category
from bookshop.web.motifs import MOTIFS, Dice

WIDTH, HEIGHT, MARGIN = 200, 300, 16
SIZES = (31, 27, 24, 21, 18.5, 16, 14)
DEPTH = 94  # of a title: below it and its author a motif begins
LEADING = 1.14
LETTER = 0.62  # the width of most letters of the typeface, which is bold, as a part of its size
NARROW, WIDE = frozenset("iljtfrI.,': "), frozenset("mwMWOQGDH")


def cover(book: Book) -> Markup:
    """An image without words for those who hear the page: title and author stand beside it."""
    return _drawn(book.title, book.author, book.category, book.cover.paper, book.cover.ink, book.cover.accent)


@lru_cache(maxsize=2_000)
def _drawn(title: str, author: str, category: Category, paper: str, ink: str, accent: str) -> Markup:
    dice = Dice(sha256(f"{title}/{author}".encode()).digest())
    motif: Callable[[Dice], str] = dice.choice(MOTIFS[category])
    size, lines = fitted(title)
    top = 30 + size * 0.8
    words = [_line(each, top + number * size * LEADING, size, "cover-title", ink) for number, each in enumerate(lines)]
    below = top + (len(lines) - 1) * size * LEADING + 22
    small = min(12.5, (WIDTH - 2 * MARGIN) / (width_of(author, 1.0) * 1.03))
    return Markup(  # noqa: S704 - words are escaped in `_line`; colours hold to the contract
        f'<svg class="cover" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true" focusable="false">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{paper}"/>'
        f'<g fill="currentColor" color="{accent}">{motif(dice)}</g>'
        f"{''.join(words)}{_line(author, below, small, 'cover-author', ink)}"
        f'<rect width="9" height="{HEIGHT}" fill="#000" opacity=".13"/>'
        f'<rect x="9" width="1.5" height="{HEIGHT}" fill="#fff" opacity=".2"/></svg>'
    )


def fitted(title: str) -> tuple[float, list[str]]:
    """The largest size in which a title fits on a cover, and its lines."""
    for size in SIZES:
        lines = _broken(title, size)
        fits = all(width_of(each, size) <= WIDTH - 2 * MARGIN for each in lines)
        if fits and len(lines) * size * LEADING <= DEPTH:
            return size, lines
    return SIZES[-1], _broken(title, SIZES[-1])


def width_of(text: str, size: float) -> float:
    """About how wide a line is."""
    parts = [
        0.6 if letter in NARROW else 1.5 if letter in WIDE else 1.22 if letter.isupper() else 1.0 for letter in text
    ]
    return sum(parts) * LETTER * size


def _broken(title: str, size: float) -> list[str]:
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > WIDTH - 2 * MARGIN:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _line(text: str, y: float, size: float, kind: str, ink: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{:.1f}" font-size="{:.1f}" fill="{}">{}</text>').format(
        kind, MARGIN + 3, y, size, ink, text
    )


def install(app: Quart) -> None:
    """Teach the templates to draw covers."""
    app.jinja_env.globals["cover"] = cover
