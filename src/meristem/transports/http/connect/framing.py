"""Envelopes of Connect streams: a byte of flags, four of length, and the message."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = struct.Struct(">BI")
COMPRESSED: Final = 1
END: Final = 2


def envelope(message: bytes, flags: int = 0) -> bytes:
    """The message in its envelope."""
    return PREFIX.pack(flags, len(message)) + message


class EnvelopeReader:
    """Cuts a stream of bytes into envelopes; `limit` bounds each message."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Flags and message of every envelope that is now complete; raises ValueError above the limit."""
        self._data += data
        while len(self._data) >= PREFIX.size:
            flags, length = PREFIX.unpack_from(self._data)
            # As soon as it is told: what is announced would be waited for, and kept meanwhile.
            if length > self._limit:
                raise ValueError(f"a message of {length} bytes is above the limit of {self._limit}")
            if len(self._data) < PREFIX.size + length:
                return
            message = bytes(self._data[PREFIX.size : PREFIX.size + length])
            del self._data[: PREFIX.size + length]
            yield flags, message
