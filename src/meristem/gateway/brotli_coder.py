"""The content coding br (RFC 7932), by Google's library."""

from __future__ import annotations

from typing import Final

try:
    import brotli
except ModuleNotFoundError as error:
    from meristem.errors import ConfigurationError

    raise ConfigurationError("the coding br needs the library brotli: pip install 'meristem[compression]'") from error

WINDOW: Final = 19  # 512 KiB of each answer are looked back at, as nginx's module does: many go out side by side


class BrotliCoder:
    """The body of one answer, compressed as it comes."""

    __slots__ = ("_inner",)

    def __init__(self, level: int) -> None:
        self._inner = brotli.Compressor(quality=level, lgwin=WINDOW)

    def feed(self, part: bytes, *, more: bool) -> bytes:
        """What goes out of it: all of the part, for who reads a stream waits for it."""
        inner = self._inner
        coded: bytes = inner.process(part) + (inner.flush() if more else inner.finish())
        return coded
