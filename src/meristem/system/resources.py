"""Where the resources of a service are: what a placement writes, made concrete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError
from meristem.system.templates import filled

if TYPE_CHECKING:
    from meristem.system.blueprint import Blueprint


TEMPORARY: Final = "sqlite://"
"""A database that each service has for itself, as long as it runs."""


def database_url(blueprint: Blueprint, service: str, template: str | None = None) -> str:
    """The URL of a service's database, by the `template` or the placement, which may say another for this service.

    A relative path in it is one below the project's folder. Raises ConfigurationError for a name that is none.
    """
    resources = blueprint.placement.resources
    written = template or resources.databases.get(service, resources.database)
    return filled("resources.database", written, service=service, system=blueprint.system.name)


def check_apart(blueprint: Blueprint) -> None:
    """Refuse one database for two services: each would take the other's events and sagas for its own."""
    taken: dict[str, str] = {}
    for name in (each.name for each in blueprint.plan.services if each.database):
        url = database_url(blueprint, name)
        if url != TEMPORARY and (other := taken.setdefault(url, name)) != name:
            raise ConfigurationError(
                f"placement: [resources] gives {other!r} and {name!r} one database: write {{service}} in its URL where "
                "it varies, or name that of one of them in [resources.databases]"
            )
