"""Text with a width: one line drawn as it is, or a ReportLab paragraph where one line of one font does not hold it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

from reportlab.lib.enums import TA_RIGHT  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]
from reportlab.platypus import Paragraph  # type: ignore[import-untyped]

from .colours import colour
from .typeface import Typeface, shapes

_LEADING = 1.38
_ENDLESS = 1e6  # points, more than any paragraph needs


class Piece(Protocol):
    """Text that is set in a width."""

    height: float

    def split(self, room: float) -> tuple[Piece, Piece] | None:
        """What fits in ``room`` and what is left, or None if not even the beginning fits."""
        ...

    def draw(self, canvas: Canvas, left: float, top: float) -> None: ...


class Text:
    """Text in one font, size and colour; ``set`` makes it a piece of a page."""

    __slots__ = ("_colour", "_face", "_font", "_is_right", "_size", "_text")

    def __init__(self, text: str, face: Typeface, font: str, size: float, colour: str, *, right: bool = False) -> None:
        self._text, self._face, self._font, self._size, self._colour = text, face, font, size, colour
        self._is_right = right

    def set(self, width: float) -> Piece:
        line = self._face.simple(self._text, self._font)
        if line is not None and (spare := width - pdfmetrics.stringWidth(line, self._font, self._size)) >= 0:
            return _Line(line, spare if self._is_right else 0, self._font, self._size, self._colour)
        style = _style(self._font, self._size, self._colour, self._is_right)
        return _Lines(Paragraph(self._face.markup(self._text, self._font), style), width)


class _Line:
    """Nearly everything on a receipt is one line of one font, for which a paragraph does too much."""

    __slots__ = ("_colour", "_font", "_indent", "_size", "_text", "height")

    def __init__(self, text: str, indent: float, font: str, size: float, colour: str) -> None:
        self._text, self._indent, self._font, self._size, self._colour = text, indent, font, size, colour
        self.height = size * _LEADING

    def split(self, room: float) -> tuple[Piece, Piece] | None:  # noqa: ARG002 - one line is not divided
        return None

    def draw(self, canvas: Canvas, left: float, top: float) -> None:
        canvas.setFillColor(colour(self._colour))
        canvas.setFont(self._font, self._size)
        canvas.drawString(left + self._indent, top - self._size, self._text)  # where a paragraph puts it


class _Lines:
    """A paragraph."""

    __slots__ = ("_paragraph", "_width", "height")

    def __init__(self, paragraph: Any, width: float) -> None:
        self._paragraph, self._width = paragraph, width
        self.height: float = paragraph.wrap(width, _ENDLESS)[1]

    def split(self, room: float) -> tuple[Piece, Piece] | None:
        parts = self._paragraph.split(self._width, room)
        if len(parts) == 2:
            return _Lines(parts[0], self._width), _Lines(parts[1], self._width)
        self._paragraph.wrap(self._width, _ENDLESS)  # one that does not divide has forgotten its lines
        return None

    def draw(self, canvas: Canvas, left: float, top: float) -> None:
        self._paragraph.drawOn(canvas, left, top - self.height)


@lru_cache(256)
def _style(font: str, size: float, written: str, right: bool) -> Any:
    alignment = {"alignment": TA_RIGHT} if right else {}
    if shapes():
        alignment["shaping"] = 1
    return ParagraphStyle(
        "text", fontName=font, fontSize=size, leading=size * _LEADING, textColor=colour(written), **alignment
    )
