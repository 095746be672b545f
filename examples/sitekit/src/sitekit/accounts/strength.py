"""Which passwords are guessed first: NIST SP 800-63B, section 3.1.1.2, asks to refuse those and nothing else.

No digit, capital or sign is asked for: such rules lead people to `Password1!`, which is refused here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from meristem import CallError, Code, FieldViolation

LEAST_LEFT: Final = 4  # characters that must be left of a password without what is known
LEAST_DIFFERENT: Final = 5
COMMON: Final = Path(__file__).with_name("common_passwords.txt")
ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789012345678901234567890",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
)
ANY_SITE: Final = ("password", "passwort")
_LEET: Final = str.maketrans("013457@$!", "oieastasi")
_ENDS: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_PARTS: Final = re.compile(r"[\W_]+")


def refuse_weak(password: str, name: str, email: str, site: Iterable[str]) -> None:
    """Raises CallError for a password that somebody would guess soon; `site` has words that this site is known by."""
    weak = weakness(password, name, email, site)
    if weak is not None:
        raise CallError(
            Code.INVALID_ARGUMENT, f"password: {weak}", violations=(FieldViolation("password", weak),),
            may_have_happened=False,
        )  # fmt: skip


def weakness(password: str, name: str = "", email: str = "", site: Iterable[str] = ()) -> str | None:
    """Why somebody would guess this password soon, as a sentence for its owner; None if nobody would."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    if len(set(folded)) < LEAST_DIFFERENT or _is_repeated(folded):
        return "This password repeats a few characters, which is guessed first. Choose another one."
    if _is_walk(folded):
        return "This password follows the alphabet or the keyboard, which is guessed first. Choose another one."
    if _is_common(folded):
        return "This is one of the passwords that are guessed first. Choose another one."
    if _is_known(folded, (*_PARTS.split(name.casefold()), *_PARTS.split(email.casefold()), *site, *ANY_SITE)):
        return "This password is made of your name, your address or this site's. Choose another one."
    return None


def _is_repeated(password: str) -> bool:
    """`abcabcabc`, `12341234`."""
    return any(password == (password[:n] * len(password))[: len(password)] for n in range(1, len(password) // 2 + 1))


def _is_walk(password: str) -> bool:
    """`abcdefgh`, `87654321`, `qwertyuiop`, and two such one after the other."""
    runs, at = 0, 0
    while at < len(password) and runs < 3:
        length = max(_run(password[at:], row) for row in (*ROWS, *(row[::-1] for row in ROWS)))
        at, runs = at + length, runs + 1
    return at >= len(password) and runs <= 2


def _run(text: str, row: str) -> int:
    """How many characters at the beginning of a text stand in a row as they do there."""
    length = 1
    while length < len(text) and text[: length + 1] in row:
        length += 1
    return length


def _is_common(password: str) -> bool:
    """Also with figures and signs around it, or in place of letters."""
    stem = _ENDS.sub("", password)
    spelled = {password, stem, _ENDS.sub("", password.translate(_LEET)), stem.translate(_LEET)}
    return any(each in _common() and len(password) - len(each) <= LEAST_LEFT for each in spelled)


def _is_known(password: str, words: Iterable[str]) -> bool:
    left = password
    for word in sorted(filter(lambda each: len(each) > 2, words), key=len, reverse=True):
        left = left.replace(word, "")
    return left != password and len(_PARTS.sub("", left)) < LEAST_LEFT


@cache
def _common() -> frozenset[str]:
    return frozenset(COMMON.read_text("utf-8").split())
