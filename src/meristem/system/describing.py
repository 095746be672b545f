"""`python -m meristem.system.describing`: imports services, in the interpreter that will run them, to describe them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from meristem.config.project import explained, places, put_on_path
from meristem.errors import MeristemError
from meristem.services.service import describe
from meristem.system.description import description, service_named
from meristem.system.fingerprint import Fingerprint, fingerprint
from meristem.system.plan import ServicePlan


class Described(msgspec.Struct, frozen=True):
    """What was found of services, by how the system names them, and what could not be described and why."""

    services: dict[str, ServicePlan]
    problems: dict[str, str]
    fingerprint: Fingerprint


def described(targets: list[str], root: Path) -> Described:
    """Import services and describe them."""
    put_on_path(root)
    services, problems = {}, {}
    for target in targets:
        try:
            found = description(describe(service_named(target)))
            # Relative, so that the description holds in a copy of the project as well (a container's image).
            inside = os.path.relpath(found.migrations, root) if Path(found.migrations).is_relative_to(root) else None
            services[target] = msgspec.structs.replace(found, target=target, migrations=inside or found.migrations)
        except MeristemError as error:
            problems[target] = f"{error}{places(error)}"
        # A module may call `sys.exit`, which is no Exception; the services after it are described all the same.
        except (Exception, SystemExit) as error:
            problems[target] = explained(error)
    # Last: the fingerprint is of what the lines above have imported.
    return Described(services, problems, fingerprint(root))


def main() -> None:
    """Write what is found to the standard output, where nothing else is written: modules may print as they like."""
    folder, *targets = sys.argv[1:]
    with os.fdopen(os.dup(1), "wb") as answer:
        # The descriptor, not `sys.stdout`: a C library or a child process that prints would reach the answer else.
        os.dup2(2, 1)
        told = msgspec.json.encode(described(targets, Path(folder)))
        sys.stdout.flush()
        answer.write(told)


if __name__ == "__main__":
    main()
