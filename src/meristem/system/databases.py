"""Where the services of a system keep their data, by what a placement says: databases, and read replicas of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meristem.errors import ConfigurationError
from meristem.storage.place import place_of
from meristem.system.templates import filled

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from meristem.system.placement_tables import Resources
    from meristem.system.plan import Plan, ServicePlan


class DataPlace(NamedTuple):
    """Where a service keeps its data, and the copies that it may read from."""

    url: str
    replicas: tuple[str, ...] = ()


def database_url(resources: Resources, system: str, service: ServicePlan, template: str | None = None) -> str:
    """The URL of a service's database, by the `template` or by what is written for it, or for all.

    `{service}` in it is the name of before it was renamed: its data stays where it is. Raises ConfigurationError for a
    name in it that is none.
    """
    written = template or resources.databases.get(service.name, resources.database)
    return filled("resources.database", written, service=service.kept_as, system=system)


def replica_urls(resources: Resources, system: str, service: ServicePlan) -> tuple[str, ...]:
    """The URLs of the read replicas of a service's database; those of `replicas` copy what `database` names alone."""
    usual = () if service.name in resources.databases else resources.replicas
    written = resources.replicas_of.get(service.name, usual)
    return tuple(filled("resources.replicas", each, service=service.kept_as, system=system) for each in written)


def check_databases(resources: Resources, system: str, services: Iterable[ServicePlan], directory: Path) -> None:
    """Refuse what no service can keep its data in, and one database for two of them.

    Each of the two would take the other's events and sagas for its own. Relative paths are below `directory`.
    """
    taken: dict[str, str] = {}
    for service in services:
        name = service.name
        url, replicas = database_url(resources, system, service), replica_urls(resources, system, service)
        place = place_of(url, directory)
        if place is not None and (other := taken.setdefault(place, name)) != name:
            raise ConfigurationError(
                f"placement: [resources] gives {other!r} and {name!r} one database: write {{service}} in its URL "
                "where it varies, or name that of one of them in [resources.databases]"
            )
        _check_replicas(name, url, replicas)


def single_processes(plan: Plan, resources: Resources, directory: Path) -> dict[str, str]:
    """The processes that may have one replica only, and why: what a service keeps in memory no other one would see."""
    in_memory = [
        each.name
        for each in plan.services
        if each.database and place_of(database_url(resources, plan.system, each), directory) is None
    ]
    return {
        process.name: f"process {process.name} may have one replica only: {service} keeps its data in the memory of one"
        for process in plan.processes
        for service in process.services
        if service in in_memory
    }


def _check_replicas(service: str, url: str, replicas: tuple[str, ...]) -> None:
    for each in replicas:
        if "sqlite" in (_scheme(url), _scheme(each)):
            raise ConfigurationError(
                f"placement: [resources] gives {service!r} read replicas, which SQLite has none of: keep its data in "
                f"PostgreSQL, or leave it without any by [resources.replicas_of] {service} = []"
            )
        if _scheme(each) != _scheme(url):
            raise ConfigurationError(
                f"placement: [resources] gives {service!r} a database of {_scheme(url)} and a replica of "
                f"{_scheme(each)}: a replica is a copy of the database by its own server's replication"
            )
        if replicas.count(each) > 1 or each == url:
            raise ConfigurationError(
                f"placement: [resources] names a replica of {service!r} twice, or its database itself: name each "
                "standby once"
            )


def _scheme(url: str) -> str:
    scheme = url.partition(":")[0].lower().partition("+")[0]
    return "postgresql" if scheme == "postgres" else scheme
