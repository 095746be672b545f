"""The fonts of a document: each letter is printed by the first font that has it, or is spelled in Latin letters."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFError, TTFont  # type: ignore[import-untyped]

from .spelling import latin
from .template import Fonts, TemplateError

_HERE = Path(__file__).parent / "fonts"
_SHAPED_FONTS = [
    "Arabic",
    "Hebrew",
    "Devanagari",
    "Bengali",
    "Gurmukhi",
    "Gujarati",
    "Tamil",
    "Telugu",
    "Kannada",
    "Malayalam",
    "Sinhala",
    "Khmer",
]
# What Debian's packages install of fonts with TrueType outlines, which ReportLab can embed.
_INSTALLED = tuple(
    Path("/usr/share/fonts/truetype") / name
    for name in (
        "droid/DroidSansFallbackFull.ttf",  # fonts-droid-fallback, Apache-2.0: Chinese, Japanese
        "nanum/NanumGothic.ttf",  # fonts-nanum, OFL-1.1: Korean
        "noto/NotoSansArmenian-Regular.ttf",  # from here on fonts-noto-core, OFL-1.1
        "noto/NotoSansGeorgian-Regular.ttf",
        "noto/NotoSansThai-Regular.ttf",
        "noto/NotoSansEthiopic-Regular.ttf",
        *(f"noto/NotoSans{script}-Regular.ttf" for script in _SHAPED_FONTS),
        "noto/NotoSansMath-Regular.ttf",
        "noto/NotoSansSymbols2-Regular.ttf",
        "ancient-scripts/Symbola_hint.ttf",  # fonts-symbola, free for any use: emoji in one colour
    )
)
# Scripts whose letters join, stack or change places: Hebrew with its points, Arabic and its kin, the scripts of India,
# Tibetan, Burmese, Khmer, Mongolian. Letter by letter they'd be wrong: without ReportLab's shaping they are spelled.
_SHAPED = ((0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0E80, 0x109F), (0x1780, 0x18AF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFC))
_LEFTWARD = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+(?: +[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+)+")
# ReportLab ends lines at the first two of these spaces, though they forbid it as the third does.
_FIRM = str.maketrans("\N{FIGURE SPACE}\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}" * 2)


@dataclass(frozen=True, slots=True)
class Typeface:
    """The registered names of the upright and the bold font, and the files to fall back to, read when needed."""

    regular: str
    bold: str
    fallback: tuple[Path, ...] = ()

    def simple(self, text: str, main: str) -> str | None:
        """``text`` as one line can show it, or None if it needs several lines or fonts, or other letters."""
        text = " ".join(filter(None, _composed(text).split(" ")))
        return text if _letters(main).issuperset(text) and text.isprintable() else None

    def markup(self, text: str, main: str) -> str:
        """``text`` for a ReportLab paragraph: escaped, line breaks kept, other fonts named where they are needed."""
        runs = [
            (name, "".join(part for _, part in run))
            for name, run in groupby(self._printed(text, main), key=lambda piece: piece[0])
        ]
        pieces = (escape(run) if name == main else f'<font name="{name}">{escape(run)}</font>' for name, run in runs)
        return "".join(pieces).replace("\n", "<br/>")

    def plain(self, text: str) -> str:
        """``text`` in letters that the upright font has, for where only one font can be used."""
        only = Typeface(self.regular, self.bold, ())
        return "".join(part for _, part in only._printed(text, self.regular))

    def spells(self, text: str) -> bool:
        """Whether something of ``text`` is spelled in other letters than it is written in."""
        text = _composed(text)
        if _letters(self.regular).issuperset(text):
            return False
        lacking = (letter for letter in text if self._font_of(letter, self.regular) is None)
        return any(not _is_silent(letter) and _simpler(letter, self.regular) is None for letter in lacking)

    def _printed(self, text: str, main: str) -> Iterator[tuple[str, str]]:
        """The pieces of ``text``, each with its font."""
        for font, run in groupby(self._ordered(_composed(text)), key=lambda letter: self._font_of(letter, main)):
            letters = "".join(run)
            if font is not None:
                yield font, letters
            else:
                yield main, _spelled(letters, main)

    def _ordered(self, text: str) -> str:
        """``text`` with words that are read from right to left in the order in which they stand from the left.

        The letters within a word are ordered by the shaping engine, and those that are spelled stay as they are.
        """
        return _LEFTWARD.sub(
            lambda found: (
                " ".join(reversed(found[0].split())) if self._font_of(found[0][0], self.regular) else found[0]
            ),
            text,
        )

    def _font_of(self, letter: str, main: str) -> str | None:
        if letter == "\n" or _has(main, letter):
            return main
        if not shapes() and any(first <= ord(letter) <= last for first, last in _SHAPED):
            return None
        return next((name for name in map(_registered, self.fallback) if _has(name, letter)), None)


@lru_cache(64)
def typeface(fonts: Fonts) -> Typeface:
    """Register the fonts of a template, once; raises ``TemplateError`` for a file that is no TrueType font."""
    regular = fonts.regular or _HERE / "NotoSans-Regular.ttf"
    bold = fonts.bold or fonts.regular or _HERE / "NotoSans-Bold.ttf"
    installed = [path for path in _INSTALLED if path.is_file()]
    face = Typeface(_registered(regular), _registered(bold), (*map(_checked, fonts.fallback), *installed))
    pdfmetrics.registerFontFamily(face.regular, face.regular, face.bold, face.regular, face.bold)
    return face


def _checked(path: Path) -> Path:
    _registered(path)
    return path


@cache
def _registered(path: Path) -> str:
    name = f"{path.stem}-{hashlib.sha256(bytes(path.resolve())).hexdigest()[:8]}"
    try:
        # Readable means that a document holds all of ASCII: twice the bytes, and half again the time, for nobody.
        pdfmetrics.registerFont(TTFont(name, str(path), asciiReadable=False))
    except TTFError as error:
        raise TemplateError(f"fonts: {path} is not a TrueType font that can be embedded: {error}") from error
    pdfmetrics.registerFontFamily(name, name, name, name, name)
    return name


@cache
def shapes() -> bool:
    """Whether ReportLab shapes text: from 4.4 on, with the extra `receipts[shaping]`."""
    return bool(getattr(pdfmetrics.getFont(_registered(_HERE / "NotoSans-Regular.ttf")), "shapable", False))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).translate(_FIRM)


def _has(name: str, letter: str) -> bool:
    return letter in _letters(name)


@cache
def _letters(name: str) -> frozenset[str]:
    """The letters that a registered font can print."""
    return frozenset(map(chr, pdfmetrics.getFont(name).face.charToGlyph))


def _spelled(letters: str, main: str) -> str:
    """Letters that no font has, in the main font's: simpler ones that mean the same, or Latin ones that sound so."""
    spelled = []
    for letter in letters:
        simpler = "" if _is_silent(letter) else _simpler(letter, main)
        spelled.append(latin(letter) if simpler is None else simpler)
    return "".join(spelled)


def _simpler(letter: str, main: str) -> str | None:
    """A ligature in its letters, a wide letter in the usual width, a rare space as a space; None if there is none."""
    if letter.isspace():
        return " "
    parts = [each for each in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(each)]
    return "".join(parts) if all(_has(main, each) for each in parts) else None


def _is_silent(letter: str) -> bool:
    """Whether nothing is to be seen of a letter by itself: control characters, joiners, selectors, single accents."""
    return letter != "\n" and unicodedata.category(letter) in {"Cc", "Cf", "Cn", "Co", "Cs", "Me", "Mn"}
