"""The content coding zstd (RFC 8878), by Python's own module, or what brings that to versions before 3.14."""

from __future__ import annotations

import sys
from typing import Final

try:
    if sys.version_info >= (3, 14):
        from compression.zstd import CompressionParameter, ZstdCompressor
    else:
        from backports.zstd import CompressionParameter, ZstdCompressor
except ModuleNotFoundError as error:
    from meristem.errors import ConfigurationError

    raise ConfigurationError(
        "the coding zstd needs the library backports.zstd: pip install 'meristem[compression]'"
    ) from error

WINDOW: Final = 19  # 512 KiB; clients need not take more than 8 MB (RFC 9659)


class ZstdCoder:
    """The body of one answer, compressed as it comes."""

    __slots__ = ("_inner",)

    def __init__(self, level: int) -> None:
        self._inner = ZstdCompressor(
            options={CompressionParameter.compression_level: level, CompressionParameter.window_log: WINDOW}
        )

    def feed(self, part: bytes, *, more: bool) -> bytes:
        """What goes out of it: all of the part, for who reads a stream waits for it."""
        return self._inner.compress(part, mode=ZstdCompressor.FLUSH_BLOCK if more else ZstdCompressor.FLUSH_FRAME)
