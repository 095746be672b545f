"""The paper that a receipt is laid out on: its measures, and texts in the template's fonts and colours."""

from __future__ import annotations

from reportlab.lib.units import mm  # type: ignore[import-untyped]

from .colours import mixed
from .template import PAGE_SIZES, Template
from .text import Text
from .typeface import typeface

_MARGIN: float = 20 * mm
_HEAD: float = 18 * mm
_FOOT: float = 30 * mm


class Sheet:
    """A page as a template wants it; all measures are points from the left and the bottom of the paper."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.face = typeface(template.fonts)
        self.paper = PAGE_SIZES[template.page_size]
        self.left, self.right = _MARGIN, self.paper[0] - _MARGIN
        self.width = self.right - self.left
        self.top, self.bottom = self.paper[1] - _HEAD, _FOOT
        self.faint = mixed(template.ink, 0.14)

    def text(
        self, text: str, size: float, *, bold: bool = False, right: bool = False, colour: str | None = None
    ) -> Text:
        font = self.face.bold if bold else self.face.regular
        return Text(text, self.face, font, size, colour or self.template.ink, right=right)

    def label(self, text: str, *, right: bool = False) -> Text:
        return self.text(text, 8, right=right, colour=self.template.soft)
