"""Words as a search compares them: without capitals, accents and signs."""

from __future__ import annotations

import unicodedata

_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe"})  # not made of two signs


def words(text: str) -> list[str]:
    """`["ender", "s", "game"]` of `Ender's Game`."""
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    letters = "".join(each for each in parts if not unicodedata.combining(each))
    return "".join(each if each.isalnum() else " " for each in letters).split()


def folded(*texts: str) -> str:
    """All words of some texts, each behind a space: in it ` ga` finds words that begin with `ga`."""
    return "".join(f" {word}" for text in texts for word in words(text))
