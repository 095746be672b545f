"""Where the resources of a service are: what a placement writes, made concrete."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meristem.system.blueprint import Blueprint


def database_url(blueprint: Blueprint, service: str) -> str:
    """The URL of a service's database; a relative path in it is one below the project's folder."""
    return blueprint.placement.resources.database.format(system=blueprint.system.name, service=service)
