"""Whether an address is in any of many networks, found by its bits: as quick for ten thousand of them as for one."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Networks:
    """Addresses and networks of IPv4 and IPv6; one of IPv4 is the same within IPv6 (`::ffff:192.0.2.1`)."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._known: dict[tuple[int, int], set[int]] = {}  # by version and by how many bits are the host's
        for each in entries:
            network = ip_network(each)
            host_bits = network.max_prefixlen - network.prefixlen
            prefix = int(network.network_address) >> host_bits
            self._known.setdefault((network.version, host_bits), set()).add(prefix)

    def __contains__(self, address: str) -> bool:
        if not self._known:
            return False
        version, number = _number(address)
        return any(version == each and number >> bits in known for (each, bits), known in self._known.items())


@lru_cache(10_000)
def _number(address: str) -> tuple[int, int]:
    """The version and bits of an address; a Unix socket has none, and is in no network."""
    try:
        found = ip_address(address)
    except ValueError:
        return 0, 0
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.version, int(found)
