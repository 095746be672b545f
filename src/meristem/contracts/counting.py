"""How many values a body holds, counted before anything is made of them: a value costs far more than its bytes."""

from __future__ import annotations

from typing import Final, TypeAlias

from meristem.errors import CallError, Code

SLICE: Final = 256 * 1024

WireForm: TypeAlias = "dict[int, WireForm | int]"
"""Of a protobuf message by field number: the form of a message in it, the fewest bytes of a number in a packed list."""

VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2
FIXED32: Final = 5


def bound_values(body: bytes, limit: int) -> None:
    """Raises CallError `resource_exhausted` for JSON of more than `limit` values, keys not counted."""
    # A value has two bytes at least, its own and what separates it: a shorter body needs no counting.
    if len(body) > 2 * limit and values_in(body, limit) > limit:
        raise too_many(limit)


def too_many(limit: int) -> CallError:
    """The refusal of a body that holds too much."""
    message = f"the request holds more than {limit} values; send it in parts, or raise `body_values` of [server]"
    return CallError(Code.RESOURCE_EXHAUSTED, message, may_have_happened=False)


def values_in(body: bytes, limit: int) -> int:
    """How many values a sound JSON text holds; more than `limit` is told as soon as it is known.

    Each value but the first of all follows a comma or the bracket that opens what it is in. Commas in strings are no
    commas, but where there are few in all, nobody has to look for the strings.
    """
    if (most := _most_in(body, limit)) <= limit:
        return most
    count, inside, at = 1, False, 0
    while at < len(body) and count <= limit:
        piece = body[at : at + SLICE]
        if len(piece) == SLICE:  # neither `[]` nor an escape is cut in two
            piece = piece[:-1] if piece[-1:] in b"[{" else piece
            piece = piece[:-1] if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else piece
        at += len(piece)
        plain = piece.replace(rb"\\", b"").replace(rb"\"", b"")
        parts = plain.split(b'"')
        count += _beginnings(b'"'.join(parts[inside::2]))  # a bracket before a string and one after are no pair
        inside ^= len(parts) % 2 == 0
    return count


def _most_in(body: bytes, limit: int) -> int:
    """At least as many values as there are, by slices: looking through all at once would keep the interpreter busy."""
    most, at = 1, 0
    while at < len(body) and most <= limit:
        most += _beginnings(body[at : at + SLICE])
        at += SLICE
    return most


def _beginnings(text: bytes) -> int:
    empty = text.count(b"[]") + text.count(b"{}")
    return text.count(b",") + text.count(b"[") + text.count(b"{") - empty


def fields_in(body: bytes, form: WireForm, limit: int) -> int:
    """How many values a protobuf message of `form` holds, with those of the messages in it; stops beyond `limit`.

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
                    if isinstance(inner, int):
                        count += length // inner
                    elif inner is not None:
                        waiting.append((at, min(at + length, end), inner))
                    at += length
                elif kind in (FIXED64, FIXED32):
                    at += 8 if kind == FIXED64 else 4
    except IndexError:
        return count
    return count


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
