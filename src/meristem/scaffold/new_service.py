"""Adds a service to a system that is there: its contract, its package, its test, and its entry in the system."""

from __future__ import annotations

from pathlib import Path

from meristem.config.project import SOURCE, Reference
from meristem.errors import ConfigurationError
from meristem.scaffold.new_project import service_names
from meristem.scaffold.project_names import check_service
from meristem.scaffold.service_list import ServiceList, service_list
from meristem.scaffold.skeleton import skeleton
from meristem.scaffold.written_files import WrittenFiles, write_files


def new_service(service: str, system: Reference) -> WrittenFiles:
    """Write a service beside those of a system, and add it where the system's source lists names of services.

    Nothing of the project is imported. Raises ConfigurationError, and writes nothing, where the name can't be one,
    where the system is in no package, or where a file is there already.
    """
    check_service(service)
    module, file = system.module or "", _file_of(system)
    package, _, _ = module.partition(".")
    services = service_list(file.read_text(encoding="utf-8"), system.attribute)
    if services is None:
        raise ConfigurationError(f"{file} makes no System in a variable {system.attribute or ''}; name one by --system")
    names = service_names(package, service, system=(module, services.variable))
    files = _files(system.root, file.parents[module.count(".")], names)
    target = f"{package}.{service}.service:{names['contract']}Service"
    changed = services.with_service(target)
    write_files(system.root, files)
    if changed is not None:
        file.write_text(changed, encoding="utf-8", newline="")
    path = file.relative_to(system.root).as_posix()
    return WrittenFiles(
        folder=system.root,
        created=list(files),
        changed=[] if changed is None else [path],
        by_hand=_by_hand(services, path, target) if changed is None else None,
        next=(f"python -m pytest tests/test_{service}.py", "meristem run"),
    )


def _file_of(system: Reference) -> Path:
    """The source of a system that is in a package."""
    *folders, name = (system.module or "").split(".")
    places = [base.joinpath(*folders, f"{name}.py") for base in (system.root, system.root / SOURCE)]
    places += [place.with_suffix("") / "__init__.py" for place in places]
    found = [place for place in places if place.is_file()]
    if not folders or not found:
        where = system.file or (found[0] if found else system.path)
        raise ConfigurationError(
            f"{system.origin}: {where} is in no package, beside which a service could stand; "
            f"make a project with one by: meristem new system NAME"
        )
    return found[0]


def _files(root: Path, base: Path, names: dict[str, str]) -> dict[str, str]:
    """The files of the service by their paths from the project's root; `base` is the folder of the package."""
    package = base / names["package"]
    if (package / "contracts.py").is_file():
        raise ConfigurationError(
            f"{package / 'contracts.py'} is a module, and the contract of a new service is one beside it; "
            f"make it a package: contracts/__init__.py"
        )
    within = base.relative_to(root)
    found = {}
    for path, text in skeleton("service", **names).items():
        place = path if path.startswith("tests/") else (within / path).as_posix()
        if not (path.endswith("contracts/__init__.py") and (root / place).is_file()):
            found[place] = text
    return found


def _by_hand(services: ServiceList, path: str, target: str) -> str:
    module, _, name = target.partition(":")
    if services.holds_classes:
        return f"add {name} to the services of {services.variable} in {path}: from {module} import {name}"
    return f'add "{target}" to the services of {services.variable} in {path}'
