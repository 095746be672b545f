"""Apps that live apart: with a folder, interpreter or packages of its own, each has a process that bears its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meristem.errors import ConfigurationError
from meristem.system.placement_tables import ProcessTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meristem.system.plan import AppPlan


def processes_of(apps: Iterable[AppPlan]) -> dict[str, ProcessTable]:
    """The process of each app that lives apart, as it is where no placement says more."""
    return {
        each.name: ProcessTable((each.name,), python=each.python, requirements=each.requirements)
        for each in apps
        if each.is_apart
    }


def with_apart(written: Mapping[str, ProcessTable], apart: Mapping[str, ProcessTable]) -> dict[str, ProcessTable]:
    """The processes that a placement writes and those that apps have for themselves.

    What a placement writes of such a process holds; where it names no interpreter or packages, the app's own do.
    Raises ConfigurationError for such an app among others, or under another name.
    """
    for name, table in written.items():
        for app in apart:
            together = app in table.services and (name != app or len(table.services) > 1)
            if together or (name == app and app not in table.services):
                raise ConfigurationError(
                    f"placement: the app {app!r} has a folder, interpreter or packages of its own, and so a process of "
                    f'its own, which is named {app!r}; write {app} = {{ services = ["{app}"], … }} for it, or nothing'
                )
    found = dict(written)
    for app, table in apart.items():
        given = written.get(app, table)
        python, requirements = given.python or table.python, given.requirements or table.requirements
        found[app] = msgspec.structs.replace(given, python=python, requirements=requirements)
    return found
