"""Where the resources of a service are: what a placement writes, made concrete."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.system.plan import Blueprint


def database_url(blueprint: Blueprint, directory: Path, service: str) -> str:
    """The URL of a service's database; a relative path is one below the project's folder."""
    written = blueprint.placement.resources.database.format(system=blueprint.system.name, service=service)
    head, separator, path = written.partition("sqlite:///")
    if head or not separator or not path or path.startswith("/"):
        return written
    return f"sqlite:///{directory / path}"
