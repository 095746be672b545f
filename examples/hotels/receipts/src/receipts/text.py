"""A piece of text on a page: drawn as it is where one line holds it, as a ReportLab paragraph elsewhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from reportlab.lib.colors import HexColor  # type: ignore[import-untyped]
from reportlab.lib.enums import TA_RIGHT  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.platypus import Flowable, Paragraph  # type: ignore[import-untyped]

from .typeface import Typeface

_LEADING = 1.38


class Text(Flowable):  # type: ignore[misc]
    """Nearly everything on a receipt is one line of one font, for which a paragraph does too much."""

    def __init__(self, text: str, face: Typeface, font: str, size: float, colour: str, *, right: bool = False) -> None:
        super().__init__()
        self._text, self._face, self._font, self._size, self._colour = text, face, font, size, colour
        self._is_right = right
        self._line = face.simple(text, font)
        self._length = 0.0 if self._line is None else pdfmetrics.stringWidth(self._line, font, size)
        self._wrapped: Paragraph | None = None

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        if self._fits(width):
            self.width, self.height = width, self._size * _LEADING
        else:
            self.width, self.height = self._paragraph().wrap(width, height)
        return self.width, self.height

    def split(self, width: float, height: float) -> list[Flowable]:
        if self._fits(width):
            return [self] if height >= self._size * _LEADING else []
        parts: list[Flowable] = self._paragraph().split(width, height)
        return parts

    def draw(self) -> None:
        if not self._fits(self.width):
            self._paragraph().drawOn(self.canv, 0, 0)
            return
        self.canv.setFillColor(colour(self._colour))
        self.canv.setFont(self._font, self._size)
        left = self.width - self._length if self._is_right else 0
        self.canv.drawString(left, self.height - self._size, self._line)  # where a paragraph puts it

    def _fits(self, width: float) -> bool:
        return self._line is not None and self._length <= width

    def _paragraph(self) -> Any:
        if self._wrapped is None:
            style = _style(self._font, self._size, self._colour, self._is_right)
            self._wrapped = Paragraph(self._face.markup(self._text, self._font), style)
        return self._wrapped


@lru_cache(256)
def colour(written: str) -> Any:
    """`#1f5f7a` as ReportLab's colour."""
    return HexColor(written)


@lru_cache(256)
def _style(font: str, size: float, written: str, right: bool) -> Any:
    alignment = {"alignment": TA_RIGHT} if right else {}
    return ParagraphStyle(
        "text", fontName=font, fontSize=size, leading=size * _LEADING, textColor=colour(written), **alignment
    )
