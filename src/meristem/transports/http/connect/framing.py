"""Envelopes of Connect streams: a byte of flags, four of length, and the message."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = struct.Struct(">BI")
COMPRESSED: Final = 1
END: Final = 2
BROKEN_OFF: Final = b'{"error":{"code":"canceled"}}'
"""The last message of a request whose caller failed to make the next item; Meristem's own client alone sends one."""


def envelope(message: bytes, flags: int = 0) -> bytes:
    """The message in its envelope."""
    return PREFIX.pack(flags, len(message)) + message


class EnvelopeReader:
    """Cuts a stream of bytes into envelopes; `limit` bounds each message."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Take in what has arrived."""
        self._data += data

    @property
    def size(self) -> int:
        """How many bytes wait to be cut."""
        return len(self._data)

    def next(self) -> tuple[int, bytes] | None:
        """Flags and message of the next envelope, if it is complete; raises ValueError above the limit."""
        if len(self._data) < PREFIX.size:
            return None
        flags, length = PREFIX.unpack_from(self._data)
        # As soon as it is told: what is announced would be waited for, and kept meanwhile.
        if length > self._limit:
            raise ValueError(f"a message of {length} bytes is above the limit of {self._limit}")
        if len(self._data) < PREFIX.size + length:
            return None
        with memoryview(self._data) as view:  # one copy, not two
            message = bytes(view[PREFIX.size : PREFIX.size + length])
        del self._data[: PREFIX.size + length]
        return flags, message

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Flags and message of every envelope that is now complete; raises ValueError above the limit."""
        self.add(data)
        while (found := self.next()) is not None:
            yield found
