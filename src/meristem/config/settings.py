"""Settings: typed values that a service asks for, and the places that give them.

The first place that has a value wins: explicit overrides (tests), the environment, a placement,
the default in the class.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Self, TypeVar

import msgspec

from meristem.config.setting_sources import Setting, Sources
from meristem.config.settings_loading import SettingsLoading
from meristem.contracts.message import MessageMeta
from meristem.errors import ConfigurationError, MisuseError
from meristem.redaction import redact

SettingsT = TypeVar("SettingsT", bound="Settings")
OF_APP: Final[ContextVar[Callable[[type[Any]], Any] | None]] = ContextVar("meristem.settings", default=None)
"""Gives the settings of the hosted app whose code runs."""


class Settings(msgspec.Struct, metaclass=MessageMeta):
    """The settings of a service: derive, annotate, give defaults, and ask for the class in `__init__`.

    `class BankSettings(Settings): url: str = "app://bank"` in the service `payments` of the system `hotels` is set
    by the variable `HOTELS_PAYMENTS_URL` or by `url = …` under `[settings.payments]` in a file. A hosted app loads its
    own: `WebSettings.load()`.
    """

    @classmethod
    def load(cls, *, standalone: str | None = None) -> Self:
        """The settings of the hosted app whose code runs, from the same places as those of a service.

        Where no system runs, as for a command of the app's framework or in its tests, `standalone="hotels.web"` names
        system and app, and the environment alone is read. Raises ConfigurationError that lists every problem, and
        MisuseError where the running code is not an app's.
        """
        of_app = OF_APP.get()
        if of_app is not None:
            found: Self = of_app(cls)
            return found
        system, _, app = (standalone or "").partition(".")
        if not app:
            raise MisuseError(
                f"{cls.__name__}.load(): no app of a system runs here. A service asks for its settings in __init__; an "
                f'app is named by text, App("web", "shop.web:app"), to be imported where it lives; elsewhere give '
                f'standalone="shop.web", the names of system and app'
            )
        return load(cls, system=system, service=app, sources=Sources(environment=os.environ))


def load(cls: type[SettingsT], *, system: str, service: str, sources: Sources) -> SettingsT:
    """The settings `cls` of `service`; raises ConfigurationError that lists every problem."""
    found: SettingsT = load_all([cls], system=system, service=service, sources=sources)[cls]
    return found


def load_all(
    classes: list[type[Settings]], *, system: str, service: str, sources: Sources, complete: bool = True
) -> dict[type[Settings], Any]:
    """All settings classes of a service together, so that a key which belongs to none of them is refused.

    Unless they are `complete`: an app may load others later.
    """
    loading = SettingsLoading(system, service, sources)
    made = {cls: loading.settings(cls) for cls in classes}
    if complete:
        loading.refuse_unknown(classes)
    if loading.problems:
        listed = "".join(f"\n  - {redact(problem)}" for problem in loading.problems)
        raise ConfigurationError(f"the settings of {service!r} cannot be used:{listed}")
    return made


def unclaimed(classes: list[type[Settings]], *, system: str, service: str, sources: Sources) -> list[str]:
    """What is wrong with keys that belong to none of the classes of a service or app."""
    loading = SettingsLoading(system, service, sources)
    loading.refuse_unknown(classes)
    return loading.problems


def explain(classes: list[type[Settings]], *, system: str, service: str, sources: Sources) -> list[Setting]:
    """Every setting of a service, its value and the place that gave it."""
    loading = SettingsLoading(system, service, sources)
    for cls in classes:
        loading.settings(cls)
    return loading.found
