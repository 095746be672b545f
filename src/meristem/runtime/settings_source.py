"""Where the services and apps of a process have their settings from, with the addresses that these name filled in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from meristem.config.setting_sources import Sources
from meristem.config.settings import load_all, unclaimed
from meristem.errors import ConfigurationError
from meristem.system.named_parts import APP, part_named

if TYPE_CHECKING:
    from meristem.runtime.options import Options
    from meristem.system.blueprint import Blueprint

logger = logging.getLogger(__name__)


class SettingsSource:
    """Reads the settings of the parts of one process."""

    def __init__(self, blueprint: Blueprint, process: str, options: Options) -> None:
        files = blueprint.placement.settings_of(process)
        self._blueprint = blueprint
        self._options = options
        self.sources = Sources(overrides=options.overrides, environment=options.environment, files=files)

    def load(self, part: str, classes: list[type[Any]], *, complete: bool = True) -> dict[type[Any], Any]:
        """The settings of a service or app; unless they are `complete`, keys of none of them may be for others."""
        system = self._blueprint.system.name
        found = load_all(classes, system=system, service=part, sources=self.sources, complete=complete)
        return {cls: self._with_addresses(part, each) for cls, each in found.items()}

    def warn_of_unclaimed(self, part: str, classes: list[type[Any]]) -> None:
        """Log each key that is written for a part and belongs to none of the classes that it has loaded."""
        for problem in unclaimed(classes, system=self._blueprint.system.name, service=part, sources=self.sources):
            logger.warning("app %r loaded no settings with this key as it started: %s", part, problem)

    def _with_addresses(self, part: str, settings: Any) -> Any:
        """Settings that name an app or program of the system (`app://bank`) get its address."""
        written = msgspec.structs.asdict(settings)
        named = {name: found for name, value in written.items() if (found := part_named(value)) is not None}
        return msgspec.structs.replace(settings, **{name: self._address(part, *each) for name, each in named.items()})

    def _address(self, part: str, name: str, rest: str) -> str:
        plan = self._blueprint.plan
        known = [each.name for part in (plan.apps, plan.programs) for each in part]
        if name not in known:
            raise ConfigurationError(
                f"{part}: its setting {f'{APP}{name}'!r} names no app or program of the system; it has: "
                f"{', '.join(known) or 'none'}"
            )
        bases = self._options.apps.get(name)
        if bases is None:
            raise ConfigurationError(f"{part}: nothing serves {name!r} here; give the setting an address")
        return ",".join(base.rstrip("/") + (f"/{rest}" if rest else "") for base in bases.split(","))


class AppSettings:
    """The settings of one app, by class; what it has loaded once stays as it is."""

    def __init__(self, source: SettingsSource, app: str) -> None:
        self._source = source
        self._app = app
        self.loaded: dict[type[Any], Any] = {}

    def __call__(self, cls: type[Any]) -> Any:
        """The settings of a class; raises ConfigurationError."""
        if cls not in self.loaded:
            self.loaded |= self._source.load(self._app, [cls], complete=False)
        return self.loaded[cls]

    def warn_of_unclaimed(self) -> None:
        """Log what is written for the app and was not asked for as it started."""
        if self.loaded:
            self._source.warn_of_unclaimed(self._app, list(self.loaded))
