"""Letters of any script in Latin ones, as the optional package `anyascii` has them (extra `receipts[spelling]`)."""

from __future__ import annotations

from collections.abc import Callable

_anyascii: Callable[[str], str] | None
try:
    from anyascii import anyascii as _anyascii
except ImportError:
    _anyascii = None

# Letters that it passes over though they are heard.
_HEARD = {"\N{ARABIC LETTER ALEF}": "a"}


def latin(letter: str) -> str:
    """A letter as it sounds, a sign by its name; by its number in Unicode (`[U+5C71]`) where neither is known."""
    known = "" if _anyascii is None else _HEARD.get(letter) or _anyascii(letter)
    return known or f"[U+{ord(letter):04X}]"
