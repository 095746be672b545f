"""What a service's constructor is given beside its database: clients, settings, clock and progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.clock import Clock
from meristem.config.settings import Sources, load_all
from meristem.errors import ConfigurationError, WiringError
from meristem.services.service import Progress, is_contract, is_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.runtime.clients import Clients
    from meristem.runtime.options import Options
    from meristem.services.service import Need, ServiceSpec
    from meristem.system.blueprint import Blueprint

APP: Final = "app://"


class Injection:
    """Gives the services of one process what they ask for by type."""

    def __init__(self, blueprint: Blueprint, process: str, options: Options, clients: Clients) -> None:
        self._blueprint = blueprint
        self._process = process
        self._options = options
        self._clients = clients
        self._loaded: dict[str, Mapping[type[Any], Any]] = {}

    def give(self, spec: ServiceSpec, need: Need) -> Any:
        """The value of one constructor parameter."""
        if is_contract(need.type):
            return self._clients.client(need.type, spec.name)
        if is_settings(need.type):
            return self._settings(spec)[need.type]
        given = {Clock: self._options.clock, Progress: self._options.progress}
        if need.type in given:
            return given[need.type]
        raise WiringError(f"{spec.name}: nothing gives its parameter {need.parameter!r}")

    def _settings(self, spec: ServiceSpec) -> Mapping[type[Any], Any]:
        """All settings classes of a service, loaded together so that a key of none of them is refused."""
        if spec.name not in self._loaded:
            files = self._blueprint.placement.settings_of(self._process)
            # Once for all classes of the service: one of them alone would take the keys of the others for misspelt.
            sources = Sources(overrides=self._options.overrides, environment=self._options.environment, files=files)
            system = self._blueprint.system.name
            found = load_all(list(spec.settings), system=system, service=spec.name, sources=sources)
            self._loaded[spec.name] = {cls: self._with_addresses(spec, each) for cls, each in found.items()}
        return self._loaded[spec.name]

    def _with_addresses(self, spec: ServiceSpec, settings: Any) -> Any:
        """Settings that name an app of the system (`app://bank`) get its address."""
        named = {name: value for name, value in msgspec.structs.asdict(settings).items() if _names_app(value)}
        return msgspec.structs.replace(settings, **{name: self._address(spec, each) for name, each in named.items()})

    def _address(self, spec: ServiceSpec, named: str) -> str:
        name, _, rest = named.removeprefix(APP).partition("/")
        known = [each.name for each in self._blueprint.plan.apps]
        if name not in known:
            apps = ", ".join(known) or "none"
            raise ConfigurationError(f"{spec.name}: its setting {named!r} names no app of the system; it has: {apps}")
        base = self._options.apps.get(name)
        if base is None:
            raise ConfigurationError(f"{spec.name}: nothing serves the app {name!r} here; give the setting an address")
        return base.rstrip("/") + (f"/{rest}" if rest else "")


def _names_app(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(APP)
