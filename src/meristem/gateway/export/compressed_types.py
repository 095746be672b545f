"""The media types whose answers are compressed, for proxies that know types by their names alone."""

from __future__ import annotations

from typing import Final

COMPRESSED_TYPES: Final = (
    *("text/html", "text/plain", "text/css", "text/csv", "text/xml", "text/javascript", "text/markdown"),
    *("application/json", "application/problem+json", "application/ld+json", "application/manifest+json"),
    *("application/javascript", "application/xml", "application/xhtml+xml", "application/atom+xml"),
    *("application/rss+xml", "application/wasm", "application/x-ndjson", "image/svg+xml", "font/ttf", "font/otf"),
)
"""The usual ones of those that the edge finds by a pattern (`compression_rules.COMPRESSIBLE`)."""
