"""Constructs a service from what its constructor asks for."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meristem.errors import WiringError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.services.service import Need, Provider, Service, ServiceSpec

NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


class Built(NamedTuple):
    """A constructed service and the provided objects it uses, in the order in which they were made."""

    service: Service
    provided: tuple[Any, ...]

    def living(self) -> list[Any]:
        """Those of the provided objects that have `start` and `stop`: what one of them needs stands before it."""
        return [each for each in self.provided if hasattr(each, "start") and hasattr(each, "stop")]


def build(spec: ServiceSpec, resolve: Callable[[Need], Any], fakes: Mapping[Any, Any] = NOTHING) -> Built:
    """Construct the service; `resolve` gives what no provider makes, `fakes` what takes a provider's place.

    Raises WiringError for a cycle of providers.
    """
    construction = _Construction(spec, resolve, fakes)
    arguments = {need.parameter: construction.get(need) for need in spec.needs}
    return Built(spec.implementation(**arguments), tuple(construction.made.values()))


class _Construction:
    """One pass: each provider is run once, what it needs first."""

    def __init__(self, spec: ServiceSpec, resolve: Callable[[Need], Any], fakes: Mapping[Any, Any]) -> None:
        self._spec = spec
        self._fakes = fakes
        self._resolve = resolve
        self._providers = {provider.makes: provider for provider in spec.providers}
        self._path: list[str] = []
        self.made: dict[Any, Any] = {}

    def get(self, need: Need) -> Any:
        provider = self._providers.get(need.type)
        if provider is None:
            return self._resolve(need)
        if need.type in self._fakes:
            return self._fakes[need.type]
        if need.type not in self.made:
            self.made[need.type] = self._make(provider)
        return self.made[need.type]

    def _make(self, provider: Provider) -> Any:
        name = provider.makes.__name__
        if name in self._path:
            circle = " → ".join([*self._path[self._path.index(name) :], name])
            raise WiringError(f"{self._spec.name}: its providers need each other in a circle: {circle}")
        self._path.append(name)
        made = provider.make(**{need.parameter: self.get(need) for need in provider.needs})
        self._path.pop()
        return made
