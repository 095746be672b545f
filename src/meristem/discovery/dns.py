"""Addresses of services from DNS, looked up again as often as their records say.

`search.shop.svc:8000` asks for A and AAAA records, which a headless service of Kubernetes has one of for each ready
pod. `_http._tcp.search.shop.svc` asks for SRV records (RFC 2782), which bring the port; of their priorities the
first is used, weights are not: the caller balances by what it sees itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.discovery.environment import tcp_address
from meristem.discovery.resolver import Directory
from meristem.errors import ConfigurationError
from meristem.lifecycle import Background

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dns.asyncresolver import Resolver as Asker

logger = logging.getLogger(__name__)
SHORTEST: Final = 1.0  # seconds between two questions, whatever a record says and while there is none
LONGEST: Final = 30.0


class Name(NamedTuple):
    """What to ask for; without a port, SRV records give it."""

    host: str
    port: int | None

    @staticmethod
    def parse(text: str) -> Name:
        """Read `host:port` or `_http._tcp.host`; raises ConfigurationError."""
        if text.startswith("_") and ":" not in text:
            return Name(text, None)
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigurationError(
                f"discovery: {text!r} is no name to look up; write search.shop.svc:8000 or _http._tcp.search.shop.svc"
            )
        return Name(host, int(port))


class Found(NamedTuple):
    """The addresses of an answer and for how many seconds they hold."""

    addresses: tuple[str, ...]
    ttl: float


class DnsResolver(Directory):
    """Looks up a name for each service and follows its changes.

    A name without records means that no replica is ready. When the servers do not answer at all, the last known
    addresses stay. `servers` and `port` are those of the machine unless given. `schemes` are those of the
    addresses by service, `tcp` unless given.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        *,
        servers: Sequence[str] | None = None,
        port: int = 53,
        patience: float = 5.0,
        shortest: float = SHORTEST,
        schemes: Mapping[str, str] | None = None,
    ) -> None:
        # Known before they are found: whom `LayeredResolver` asks about a service must never change.
        super().__init__(dict.fromkeys(names, ()))
        self._names = {service: Name.parse(text) for service, text in names.items()}
        self._asker = _asker(servers, port)
        self._patience = patience
        self._shortest = shortest
        self._schemes = schemes or {}
        self._following = Background("discovery")

    async def start(self) -> None:
        asked = {service: asyncio.Event() for service in self._names}
        for service, name in self._names.items():
            self._following.spawn(self._follow(service, name, asked[service]), service)
        # Until each was asked for, not until it is found: a service that is not up yet must not hold up its callers.
        await asyncio.gather(*(each.wait() for each in asked.values()))

    async def drain(self) -> None:
        """Nothing is in flight here."""

    async def stop(self) -> None:
        await self._following.stop()

    async def _follow(self, service: str, name: Name, asked: asyncio.Event) -> None:
        lost = False
        while True:
            found = await self._ask(name)
            if found is not None:
                scheme = self._schemes.get(service, "tcp")
                self.put(service, tuple(f"{scheme}:{each.partition(':')[2]}" for each in found.addresses))
            elif not lost:
                logger.warning("no DNS server answers for %s; %s stays where it was", name.host, service)
            lost = found is None
            # Also without an answer; it comes after `put`, so whoever has waited finds what was found.
            asked.set()
            ttl = found.ttl if found is not None else 0.0
            # An hour is a usual time to live, and a pod does not live so long.
            await asyncio.sleep(min(max(ttl, self._shortest), LONGEST))

    async def _ask(self, name: Name) -> Found | None:
        """The answer; None when there was none."""
        from dns.exception import DNSException  # noqa: PLC0415 - the extra `dns`
        from dns.resolver import NXDOMAIN, NoAnswer  # noqa: PLC0415

        try:
            return await (self._services(name.host) if name.port is None else self._hosts(name.host, name.port))
        except (NXDOMAIN, NoAnswer):
            return Found((), 0.0)
        except (DNSException, OSError) as error:
            logger.debug("asking for %s failed: %s", name.host, error)
            return None

    async def _hosts(self, host: str, port: int) -> Found:
        # With the search list of resolv.conf, by which `search.shop` is a name within a cluster of Kubernetes.
        answers = await self._asker.resolve_name(host, lifetime=self._patience, search=True)
        ttls = [answer.rrset.ttl for answer in answers.values() if answer.rrset is not None]
        return Found(tuple(tcp_address(each, port) for each in answers.addresses()), min(ttls, default=0.0))

    async def _services(self, host: str) -> Found | None:
        answer = await self._asker.resolve(host, "SRV", lifetime=self._patience, search=True)
        # RFC 2782: those of the lowest number are the ones to use; the others wait for these to be gone.
        first = min(record.priority for record in answer)
        targets = [Name(record.target.to_text(), record.port) for record in answer if record.priority == first]
        founds = [each for each in await asyncio.gather(*map(self._ask, targets)) if each is not None]
        # Nobody answered for any of them: the last addresses stay. Where some did, the others are left out.
        if not founds:
            return None
        addresses = tuple(address for found in founds for address in found.addresses)
        own = 0.0 if answer.rrset is None else answer.rrset.ttl
        return Found(addresses, min(own, *(found.ttl for found in founds)))


def _asker(servers: Sequence[str] | None, port: int) -> Asker:
    try:
        from dns.asyncresolver import Resolver  # noqa: PLC0415 - the extra `dns`
        from dns.resolver import NoResolverConfiguration  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError('discovery by DNS needs dnspython: pip install "meristem[dns]"') from None
    try:
        asker = Resolver(configure=servers is None)
    except NoResolverConfiguration as error:
        raise ConfigurationError(f"discovery by DNS: this machine names no DNS server: {error}") from None
    if servers is not None:
        asker.nameservers = list(servers)
        asker.port = port
    return asker
