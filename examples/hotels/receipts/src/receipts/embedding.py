"""Fonts as ReportLab embeds them, with the work that is the same for every document done once per process."""

from __future__ import annotations

import copy
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from reportlab.pdfbase import pdfdoc  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import SUBSETN, TTFont, TTFontFace, makeToUnicodeCMap  # type: ignore[import-untyped]

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
        super().splitString(USUAL, self)
        self._begun = self.state.pop(self)  # as the state of every document begins
        self._begun.nextCode = _CODES  # the first one of the next part

    def splitString(self, text: str, doc: Any, encoding: str = "utf-8") -> list[tuple[int, bytes]]:  # noqa: N802 - ReportLab's name
        """`text` as parts of the font and codes in them; before its first text a document gives codes to USUAL."""
        if doc not in self.state:
            state = self.state[doc] = copy.copy(self._begun)
            state.assignments, state.subsets = state.assignments.copy(), state.subsets.copy()
        codes: list[tuple[int, bytes]] = super().splitString(text, doc, encoding)
        return codes

    def addObjects(self, doc: Any) -> None:  # noqa: N802 - ReportLab's name
        """As ReportLab does it, but with what `_Part` keeps."""
        fonts = doc.idToObject[pdfdoc.BasicFonts]
        for number, letters in enumerate(self.state[doc].subsets):
            part = self.face.part(number, tuple(letters))
            file = doc.Reference(_Formatted(part.file))
            font = pdfdoc.PDFTrueTypeFont()
            font.Name = self.getSubsetInternalName(number, doc).removeprefix("/")
            font.BaseFont, font.FirstChar, font.LastChar, font.Widths = part.name, 0, len(letters) - 1, part.widths
            font.ToUnicode = doc.Reference(_Formatted(part.to_unicode))
            font.FontDescriptor = doc.Reference(pdfdoc.PDFDictionary({**part.descriptor, "FontFile2": file}))
            doc.Reference(font, font.Name)
            fonts[font.Name] = font
        del self.state[doc]


class _Part(NamedTuple):
    """A part of a font as documents have it, formatted and compressed: all but the numbers of the objects."""

    name: str
    widths: bytes
    to_unicode: bytes
    descriptor: dict[str, bytes]
    file: bytes


class _Face(TTFontFace):  # type: ignore[misc]
    """A font's file that remembers the parts that were cut out of it."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self._reading = threading.Lock()  # ReportLab's reader keeps its place in the file
        self.part = lru_cache(_PARTS)(self._cut)

    def _cut(self, number: int, letters: tuple[int, ...]) -> _Part:
        scratch = pdfdoc.PDFDocument()
        name = b"".join((SUBSETN(number), b"+", self.name, self.subfontNameX)).decode("pdfdoc")
        with self._reading:
            reference = self.addSubsetObjects(scratch, name, letters)
        descriptor = scratch.idToObject[reference.name].dict
        file = scratch.idToObject[descriptor.pop("FontFile2").name]
        to_unicode = pdfdoc.PDFStream(content=makeToUnicodeCMap(name, letters), filters=[pdfdoc.PDFZCompress])
        return _Part(
            name,
            pdfdoc.PDFArray(map(self.getCharWidth, letters)).format(scratch),
            to_unicode.format(scratch),
            {key: pdfdoc.format(value, scratch) for key, value in descriptor.items()},
            file.format(scratch),
        )


class _Formatted(pdfdoc.PDFObject):  # type: ignore[misc]
    """An object in the bytes of the file."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def format(self, document: Any) -> bytes:  # noqa: ARG002 - the same in all of them
        return self._content
