"""What counts as one address where somebody counts by addresses."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address


@lru_cache(10_000)
def crowd_of(host: str) -> str:
    """An address; of IPv6 its first 64 bits, for a host chooses the others itself (RFC 4291, 2.5.4)."""
    if ":" not in host:
        return host
    address = IPv6Address(host)
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else str(IPv6Address(int(address) >> 64 << 64))
