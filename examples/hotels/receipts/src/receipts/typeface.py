"""The fonts of a document: a letter that one of them lacks is taken from the next, never printed as a box."""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib.fonts import addMapping  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFError  # type: ignore[import-untyped]

from .embedding import EmbeddedFont
from .template import Fonts, TemplateError

_HERE = Path(__file__).parent / "fonts"
# Letters that Unicode does not take apart, for fonts that lack them.
_PLAIN = {
    "ł": "l",
    "Ł": "L",
    "ø": "o",
    "Ø": "O",
    "đ": "d",
    "Đ": "D",
    "æ": "ae",
    "Æ": "Ae",
    "œ": "oe",
    "ß": "ss",
    "þ": "th",
}
# ReportLab ends lines at the first two of these spaces, though they forbid it as the third does.
_FIRM = str.maketrans("\N{FIGURE SPACE}\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}" * 2)
# ReportLab keeps fonts in one registry a process; two threads must not fill it at once.
_registering = threading.Lock()


@dataclass(frozen=True, slots=True)
class Typeface:
    """The registered names of the fonts: the upright one, the bold one, and the ones to fall back to."""

    regular: str
    bold: str
    fallback: tuple[str, ...] = ()

    def simple(self, text: str, main: str) -> str | None:
        """``text`` as one line can show it, or None if it needs several lines or fonts, or other letters."""
        text = " ".join(filter(None, _composed(text).split(" ")))
        return text if _letters(main).issuperset(text) and text.isprintable() else None

    def markup(self, text: str, main: str) -> str:
        """``text`` for a ReportLab paragraph: escaped, line breaks kept, other fonts named where they are needed."""
        chosen = [piece for letter in _composed(text) for piece in self._choose(letter, main)]
        runs = [(name, "".join(text for _, text in run)) for name, run in groupby(chosen, key=lambda piece: piece[0])]
        pieces = (escape(run) if name == main else f'<font name="{name}">{escape(run)}</font>' for name, run in runs)
        return "".join(pieces).replace("\n", "<br/>")

    def plain(self, text: str) -> str:
        """``text`` in letters that the upright font has, for where only one font can be used."""
        only = Typeface(self.regular, self.bold)
        return "".join(piece for letter in _composed(text) for _, piece in only._choose(letter, self.regular))

    def _choose(self, letter: str, main: str) -> list[tuple[str, str]]:
        if letter == "\n" or _has(main, letter):
            return [(main, letter)]
        for name in self.fallback:
            if _has(name, letter):
                return [(name, letter)]
        if unicodedata.category(letter).startswith("C"):
            return []  # a control character shows nothing
        simpler = _PLAIN.get(letter) or unicodedata.normalize("NFKD", letter)
        if simpler != letter:
            return [piece for part in simpler for piece in self._choose(part, main)]
        return [] if unicodedata.combining(letter) else [(main, " " if letter.isspace() else "?")]


@lru_cache(64)
def typeface(fonts: Fonts) -> Typeface:
    """Register the fonts of a template, once; raises ``TemplateError`` for a file that is no TrueType font."""
    regular = fonts.regular or _HERE / "NotoSans-Regular.ttf"
    bold = fonts.bold or fonts.regular or _HERE / "NotoSans-Bold.ttf"
    with _registering:
        names = Typeface(_register(regular), _register(bold), tuple(_register(path) for path in fonts.fallback))
        for is_bold, name in ((0, names.regular), (1, names.bold)):
            for italic in (0, 1):
                addMapping(names.regular, is_bold, italic, name)
    return names


def _register(path: Path) -> str:
    name = f"{path.stem}-{hashlib.sha256(bytes(path.resolve())).hexdigest()[:8]}"
    if name not in pdfmetrics.getRegisteredFontNames():
        try:
            pdfmetrics.registerFont(EmbeddedFont(name, path))
        except TTFError as error:
            raise TemplateError(f"fonts: {path} is not a TrueType font that can be embedded: {error}") from error
        for italic in (0, 1):
            for is_bold in (0, 1):
                addMapping(name, is_bold, italic, name)
    return name


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).translate(_FIRM)


def _has(name: str, letter: str) -> bool:
    return letter in _letters(name)


def _letters(name: str) -> frozenset[str]:
    letters: frozenset[str] = pdfmetrics.getFont(name).letters
    return letters
