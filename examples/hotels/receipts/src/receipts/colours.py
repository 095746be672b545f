"""Colours, as a template writes them and as ReportLab wants them."""

from __future__ import annotations

from functools import lru_cache

from reportlab.lib.colors import Color, HexColor  # type: ignore[import-untyped]


@lru_cache(256)
def colour(written: str) -> Color:
    """`#1f5f7a` as ReportLab's colour."""
    return HexColor(written)


@lru_cache(256)
def mixed(written: str, part: float) -> Color:
    """So much of the colour on white paper; no transparency, which some printers mistreat."""
    return Color(*(1 - part + part * channel for channel in colour(written).rgb()))


def is_dark(written: str) -> bool:
    red, green, blue = colour(written).rgb()
    return bool(0.299 * red + 0.587 * green + 0.114 * blue < 0.6)
