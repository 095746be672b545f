"""What is drawn behind a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reportlab.lib.colors import Color  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

_RADIUS = 5


class Shape(Protocol):
    def draw(self, canvas: Canvas, bottom: float, height: float) -> None: ...


@dataclass(slots=True)
class Rule:
    """A line below the row."""

    left: float
    width: float
    thickness: float
    colour: Color

    def draw(self, canvas: Canvas, bottom: float, height: float) -> None:  # noqa: ARG002 - a line is below any row
        canvas.setStrokeColor(self.colour)
        canvas.setLineWidth(self.thickness)
        canvas.line(self.left, bottom, self.left + self.width, bottom)


@dataclass(slots=True)
class Box:
    """A coloured box as high as the row, with round corners below and, unless it goes on from above, at the top."""

    left: float
    width: float
    colour: Color
    round_top: bool = True

    def draw(self, canvas: Canvas, bottom: float, height: float) -> None:
        canvas.setFillColor(self.colour)
        top = _RADIUS if self.round_top else 0
        canvas.roundRect(self.left, bottom, self.width, height, (top, top, _RADIUS, _RADIUS), stroke=0, fill=1)
