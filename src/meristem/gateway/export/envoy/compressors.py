"""Compression: a filter for each coding, of which Envoy takes the one that a client likes best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.gateway.export.compressed_types import COMPRESSED_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.policy.compression_rules import CompressionTable

TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.compressor.v3"
LIBRARY: Final = "type.googleapis.com/envoy.extensions.compression"
LEAST: Final = 30  # bytes; Envoy takes no smaller bound


def compressors(table: CompressionTable) -> Iterator[Part]:
    """The filters; where a client likes all alike it gets the first coding."""
    libraries: dict[str, Part] = {
        "gzip": {
            "@type": f"{LIBRARY}.gzip.compressor.v3.Gzip",
            "compression_level": f"COMPRESSION_LEVEL_{table.level}",
            "window_bits": 15,
        },
        "br": {"@type": f"{LIBRARY}.brotli.compressor.v3.Brotli", "quality": table.level},
        "zstd": {"@type": f"{LIBRARY}.zstd.compressor.v3.Zstd", "compression_level": table.level},
    }
    common = {"min_content_length": max(LEAST, table.min_bytes), "content_type": [*COMPRESSED_TYPES]}
    for coding in table.codings:
        known = {"name": coding, "typed_config": libraries[coding]}
        compressor: Part = {"response_direction_config": {"common_config": common}, "compressor_library": known}
        if coding == table.codings[0]:
            compressor["choose_first"] = True
        yield {"name": _name(coding), "typed_config": {"@type": f"{TYPE}.Compressor", **compressor}}


def not_compressed(table: CompressionTable) -> Part:
    """What a route says of the filters whose answers go out as they are."""
    return {_name(coding): {"@type": f"{TYPE}.CompressorPerRoute", "disabled": True} for coding in table.codings}


def _name(coding: str) -> str:
    return f"compressor.{coding}"
