"""Several resolvers as one: the first that knows a service answers for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.discovery.resolver import Resolver, Watcher


class LayeredResolver:
    """Asks the strongest layer that knows a service; which one that is does not change while the process runs."""

    def __init__(self, *layers: Resolver) -> None:
        self._layers = layers

    async def start(self) -> None:
        for layer in self._layers:
            await layer.start()

    async def drain(self) -> None:
        """Nothing is in flight here."""

    async def stop(self) -> None:
        for layer in reversed(self._layers):
            await layer.stop()

    def knows(self, service: str) -> bool:
        return self._layer(service) is not None

    def addresses(self, service: str) -> tuple[str, ...]:
        layer = self._layer(service)
        return () if layer is None else layer.addresses(service)

    def watch(self, service: str, watcher: Watcher) -> Callable[[], None]:
        layer = self._layer(service)
        return _nothing if layer is None else layer.watch(service, watcher)

    def _layer(self, service: str) -> Resolver | None:
        return next((layer for layer in self._layers if layer.knows(service)), None)


def _nothing() -> None:
    """There is nothing to end."""
