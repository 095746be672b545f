"""The port of discovery: the addresses of a service now, and word of every change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

Watcher: TypeAlias = Callable[[tuple[str, ...]], None]


class Resolver(Protocol):
    """Knows where services answer; an address is `unix:/run/shop/search-0.sock` or `tcp://10.0.0.7:8000`."""

    async def start(self) -> None:
        """Look everything up a first time, as far as it can be found."""
        ...

    async def drain(self) -> None:
        """Nothing is in flight here."""
        ...

    async def stop(self) -> None:
        """Look nothing up any more."""
        ...

    def knows(self, service: str) -> bool:
        """Whether this resolver is the one to ask about `service`, even when no replica answers for it just now."""
        ...

    def addresses(self, service: str) -> tuple[str, ...]:
        """Where the replicas of `service` answer now, sorted; empty when none does."""
        ...

    def watch(self, service: str, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with the new addresses at each change; the function returned ends that."""
        ...


class Directory:
    """Addresses by service, with watchers: what every resolver keeps."""

    def __init__(self, addresses: Mapping[str, Iterable[str]] | None = None) -> None:
        self._addresses = {service: _sorted(each) for service, each in (addresses or {}).items()}
        self._watchers: dict[str, list[Watcher]] = {}

    def knows(self, service: str) -> bool:
        return service in self._addresses

    def addresses(self, service: str) -> tuple[str, ...]:
        return self._addresses.get(service, ())

    def put(self, service: str, addresses: Iterable[str]) -> None:
        """Replace the addresses of a service; watchers hear of it when they differ."""
        now = _sorted(addresses)
        # Servers turn the records of a name round (RFC 1794): sorted, only another set of addresses is a change.
        if self._addresses.get(service) == now:
            return
        self._addresses[service] = now
        # A copy: a watcher may end its own watch when it is called.
        for watcher in tuple(self._watchers.get(service, ())):
            watcher(now)

    def watch(self, service: str, watcher: Watcher) -> Callable[[], None]:
        watchers = self._watchers.setdefault(service, [])
        watchers.append(watcher)

        def end() -> None:
            if watcher in watchers:
                watchers.remove(watcher)

        return end


def follow(resolver: Resolver, service: str, watcher: Watcher) -> Callable[[], None]:
    """Call `watcher` with the addresses of a service now, and at each change; the function returned ends that."""
    watcher(resolver.addresses(service))
    return resolver.watch(service, watcher)


async def changes(resolver: Resolver, service: str) -> AsyncIterator[tuple[str, ...]]:
    """The addresses of a service now, then after each change; one who is slow sees the newest and misses the rest."""
    changed = asyncio.Event()
    end = resolver.watch(service, lambda _: changed.set())
    try:
        while True:
            # Before the addresses are read: what changes from here on wakes the wait below.
            changed.clear()
            yield resolver.addresses(service)
            await changed.wait()
    finally:
        end()


def _sorted(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(addresses)))
