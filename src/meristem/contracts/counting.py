"""How many values a body holds, counted before anything is made of them: a value costs far more than its bytes.

So does text: a decoder makes a string in one go, and one that is not plain ASCII takes ten times as long. It counts as
values, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from collections.abc import Iterator

SLICE: Final = 256 * 1024
ESCAPES: Final = 64  # in strings, that take as long as one value
WIDE: Final = 128  # bytes of strings that are not ASCII, which do

WireForm: TypeAlias = "dict[int, WireForm | int]"
"""Of a protobuf message by field number: the form of a message in it, the bytes of a number in a packed list, or TEXT.

Numbers that are varints have the width 1, the fewest that one may have.
"""

TEXT: Final = 0

VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2
FIXED32: Final = 5
LONGEST_VARINT: Final = 10  # bytes
CONTINUED: Final = bytes(range(0x80, 0x100))
"""The bytes of a varint after which it goes on."""


def bound_values(body: bytes, limit: int) -> None:
    """Raises CallError `invalid_argument` for JSON of more than `limit` values, keys not counted, its text counted."""
    # A value has two bytes at least, its own and what separates it: a shorter body needs no counting.
    if len(body) <= 2 * limit:
        return
    count = values_in(body, limit)
    if count + _most_text_in(body, limit) > limit and count + text_in(body, limit - count) > limit:
        raise too_many(limit)


def too_many(limit: int) -> CallError:
    """The refusal of a body that holds too much."""
    message = (
        f"the request holds more than {limit} values, as one of which {ESCAPES} escapes in strings count, or {WIDE} "
        "bytes of strings that are not ASCII; send it in parts, or raise `body_values` of [server]"
    )
    return CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)


def values_in(body: bytes, limit: int) -> int:
    """How many values a sound JSON text holds; more than `limit` is told as soon as it is known.

    Each value but the first of all follows a comma or the bracket that opens what it is in. Commas in strings are no
    commas, but where there are few in all, nobody has to look for the strings.
    """
    if (most := _most_in(body, limit)) <= limit:
        return most
    count, inside = 1, False
    for piece in _pieces(body):
        parts = _unquoted(piece).split(b'"')
        count += _beginnings(b'"'.join(parts[inside::2]))  # a bracket before a string and one after are no pair
        inside ^= len(parts) % 2 == 0
        if count > limit:
            break
    return count


def text_in(body: bytes, limit: int) -> int:
    """As how many values the strings of a JSON text count: for their escapes, and for those that are not ASCII.

    More than `limit` is told as soon as it is known.
    A string is as wide as its widest letter, wherever that stands, so each counts whole. Of several that end in one
    slice the others count with it.
    """
    escapes = wide = 0
    run, is_wide = 0, False  # of the string that is under way
    for piece in _pieces(body):
        if slashes := piece.count(b"\\"):
            escapes += slashes - piece.count(rb"\\")
        first, quote, rest = _unquoted(piece).partition(b'"')
        run, is_wide = run + len(first), is_wide or _is_wide(first)
        if quote:
            between, _, last = rest.rpartition(b'"')
            wide += run * is_wide + len(between) * _is_wide(between)
            run, is_wide = len(last), _is_wide(last)
        if escapes // ESCAPES + (wide + run * is_wide) // WIDE > limit:
            break
    return escapes // ESCAPES + (wide + run * is_wide) // WIDE


def _most_text_in(body: bytes, limit: int) -> int:
    """At least as much as `text_in`, found far sooner: it spares nearly every body the rest."""
    # No byte of text costs more than one of an escape, which has two; of an escaped backslash both are counted.
    if len(body) <= SLICE:
        return len(body) // ESCAPES
    slashes = 0
    # By slices, too: one search through all of a body of escapes would keep the interpreter busy.
    for at in range(0, len(body), SLICE):
        piece = body[at : at + SLICE + 1]  # with the byte behind, where an escape is cut in two
        if _is_wide(piece):
            return len(body) // ESCAPES
        slashes += piece.count(b"\\")
        if slashes // ESCAPES > limit:
            break
    return slashes // ESCAPES


def _is_wide(text: bytes) -> bool:
    # The search for one byte is by far the faster one, and few texts have a backslash.
    return not text.isascii() or (b"\\" in text and rb"\u" in text)


def _pieces(body: bytes) -> Iterator[bytes]:
    """A JSON text in slices: neither `[]` nor an escape is cut in two."""
    at = 0
    while at < len(body):
        piece = body[at : at + SLICE]
        if len(piece) == SLICE:
            piece = piece[:-1] if piece[-1:] in b"[{" else piece
            piece = piece[:-1] if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else piece
        at += len(piece)
        yield piece


def _unquoted(piece: bytes) -> bytes:
    """The text without quotation marks in strings."""
    return piece.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in piece else piece


def _most_in(body: bytes, limit: int) -> int:
    """At least as many values as there are, by slices: looking through all at once would keep the interpreter busy."""
    most, at = 1, 0
    while at < len(body) and most <= limit:
        most += _beginnings(body, at, at + SLICE)
        at += SLICE
    return most


def _beginnings(text: bytes, start: int = 0, end: int | None = None) -> int:
    """How many values begin; what an empty list or object holds is none."""
    brackets = sum(_filled(text, pair, start, end) for pair in (b"[]", b"{}"))
    return text.count(b",", start, end) + brackets


def _filled(text: bytes, pair: bytes, start: int, end: int | None) -> int:
    """How often such a bracket opens what is not empty; pairs, slow to find, are looked for where some may be."""
    opened = text.count(pair[:1], start, end)
    return opened - text.count(pair, start, end) if opened and pair[1:] in text[start:end] else opened


def fields_in(body: bytes, form: WireForm, limit: int) -> int:
    """How many values a protobuf message of `form` holds, with those of the messages in it; stops beyond `limit`.

    Text that is not ASCII counts as in JSON.
    What is malformed ends the count: its parser refuses it there (protobuf encoding, "Message Structure").
    """
    count = 0
    waiting = [(0, len(body), form)]
    try:
        while waiting and count <= limit:
            at, end, known = waiting.pop()
            while at < end and count <= limit:
                tag, at = _varint(body, at)
                count += 1
                kind = tag & 7
                if kind == VARINT:
                    _, at = _varint(body, at)
                elif kind == DELIMITED:
                    length, at = _varint(body, at)
                    inner = known.get(tag >> 3)
                    if inner == TEXT:
                        count += 0 if body[at : at + length].isascii() else length // WIDE
                    elif isinstance(inner, int):
                        count += length // inner if inner > 1 else _varints(body[at : min(at + length, end)], limit)
                    elif inner is not None:
                        waiting.append((at, min(at + length, end), inner))
                    at += length
                elif kind in (FIXED64, FIXED32):
                    at += 8 if kind == FIXED64 else 4
    except IndexError:
        return count
    return count


def _varints(packed: bytes, limit: int) -> int:
    """How many numbers a packed list of varints holds, each as long as it is large; stops beyond `limit`."""
    if len(packed) > limit * LONGEST_VARINT:
        return limit + 1
    return len(packed.translate(None, CONTINUED))


def _varint(body: bytes, at: int) -> tuple[int, int]:
    byte = body[at]
    number, shift = byte & 0x7F, 7
    while byte & 0x80:
        at += 1
        byte = body[at]
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise IndexError("a varint has ten bytes")
    return number, at + 1
