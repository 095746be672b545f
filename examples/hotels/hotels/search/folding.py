"""The form of a name in which it is searched: no accents, one case, single spaces."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Letters that Unicode does not take apart.
_WHOLE: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})  # noqa: RUF001
_APOSTROPHES: Final = re.compile("['`\u2018\u2019\u02bb\u02bc]")
_NO_LETTERS: Final = re.compile(r"[\W_]+")


def fold(name: str) -> str:
    """`São  Paulo` is `sao paulo`, `Kraków` is `krakow`."""
    decomposed = unicodedata.normalize("NFKD", name.casefold().translate(_WHOLE))
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(_NO_LETTERS.sub(" ", _APOSTROPHES.sub("", plain)).split())
