"""Where the resources of a service are: what a placement writes, made concrete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.system.templates import filled

if TYPE_CHECKING:
    from meristem.system.blueprint import Blueprint


def database_url(blueprint: Blueprint, service: str, template: str | None = None) -> str:
    """The URL of a service's database, by the `template` or the placement, which may say another for this service.

    A relative path in it is one below the project's folder. Raises ConfigurationError for a name that is none.
    """
    resources = blueprint.placement.resources
    written = template or resources.databases.get(service, resources.database)
    return filled("resources.database", written, service=service, system=blueprint.system.name)
