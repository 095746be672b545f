"""What a service's constructor is given beside its database: clients, settings, clock and progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.clock import Clock
from meristem.errors import WiringError
from meristem.services.service import Progress, is_contract, is_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.runtime.options import Options
    from meristem.runtime.settings_source import SettingsSource
    from meristem.services.service import Need, ServiceSpec


class Injection:
    """Gives the services of one process what they ask for by type; `client` makes one of a contract for a caller."""

    def __init__(self, source: SettingsSource, options: Options, client: Callable[[Any, str], Any]) -> None:
        self._source = source
        self._options = options
        self._client = client
        self._loaded: dict[str, Mapping[type[Any], Any]] = {}

    def give(self, spec: ServiceSpec, need: Need) -> Any:
        """The value of one constructor parameter."""
        if is_contract(need.type):
            return self._client(need.type, spec.name)
        if is_settings(need.type):
            return self._settings(spec)[need.type]
        given = {Clock: self._options.clock, Progress: self._options.progress}
        if need.type in given:
            return given[need.type]
        raise WiringError(f"{spec.name}: nothing gives its parameter {need.parameter!r}")

    def _settings(self, spec: ServiceSpec) -> Mapping[type[Any], Any]:
        """All settings classes of a service, loaded together so that a key of none of them is refused."""
        if spec.name not in self._loaded:
            # Once for all classes of the service: one of them alone would take the keys of the others for misspelt.
            self._loaded[spec.name] = self._source.load(spec.name, list(spec.settings))
        return self._loaded[spec.name]
