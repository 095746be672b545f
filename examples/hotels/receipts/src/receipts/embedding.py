"""Fonts as ReportLab embeds them, with the work that is the same for every document done once per process."""

from __future__ import annotations

import threading
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from reportlab.lib.rl_accel import fp_str  # type: ignore[import-untyped]
from reportlab.pdfbase.pdfdoc import PDFName  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFont, TTFontFace  # type: ignore[import-untyped]

# Pound and euro, dashes, quotation marks, three dots, and minus.
_SIGNS = "\u00a3\u20ac\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u2212"
USUAL = "".join(map(chr, (*range(0x20, 0x7F), *range(0xC0, 0x100)))) + _SIGNS
"""The letters of the part of a font that every document embeds; it is the same part, so it is cut out only once."""

_PARTS = 256  # of a font, kept in memory: some kilobytes each
_CODES = 256  # in a part: PDF's simple fonts have one byte for each


class EmbeddedFont(TTFont):  # type: ignore[misc]
    """A TrueType font of which a document embeds the usual letters, and those beyond them as another part."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, str(path))
        self.face = _Face(str(path))
        self.letters = frozenset(map(chr, self.face.charToGlyph))

    def splitString(self, text: str, doc: Any, encoding: str = "utf-8") -> list[tuple[int, bytes]]:  # noqa: N802 - ReportLab's name
        """`text` as parts of the font and codes in them; before its first text a document gives codes to USUAL."""
        if doc not in self.state:
            state = self._assignState(doc)
            super().splitString(USUAL, doc)
            state.nextCode = _CODES  # the first one of the next part
        codes: list[tuple[int, bytes]] = super().splitString(text, doc, encoding)
        return codes


class _Face(TTFontFace):  # type: ignore[misc]
    """A font's file that remembers the parts that were cut out of it."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self._reading = threading.Lock()  # ReportLab's reader keeps its place in the file
        self._part = lru_cache(_PARTS)(self._cut)
        self._written = {code: fp_str(width).encode() for code, width in self.charWidths.items()}
        self._written_default = fp_str(self.defaultWidth).encode()

    def getCharWidth(self, code: int) -> bytes:  # noqa: N802 - ReportLab's name
        """A letter's width as a document lists it; lines of text are measured by `charWidths`."""
        written: bytes = self._written.get(code, self._written_default)
        return written

    def makeSubset(self, subset: list[int]) -> bytes:  # noqa: N802 - ReportLab's name
        part, _ = self._part(tuple(subset))
        return part

    def addSubsetObjects(self, doc: Any, fontname: str, subset: list[int]) -> Any:  # noqa: N802 - ReportLab's name
        """As ReportLab does it, but for the compression of the part, which is done with the part."""
        descriptor = super().addSubsetObjects(doc, fontname, subset)
        file = doc.idToObject[doc.idToObject[descriptor.name].dict["FontFile2"].name]
        file.content, file.dictionary["Filter"] = self._part(tuple(subset))[1], PDFName("FlateDecode")
        return descriptor

    def _cut(self, subset: tuple[int, ...]) -> tuple[bytes, bytes]:
        with self._reading:
            part: bytes = super().makeSubset(subset)
        return part, zlib.compress(part)
