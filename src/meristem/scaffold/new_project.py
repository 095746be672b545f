"""Writes a new system, or a new app, into a folder of its own."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

import msgspec

from meristem.scaffold.own_requirement import own_requirement, own_version
from meristem.scaffold.project_names import check_package, check_service, contract_of
from meristem.scaffold.skeleton import skeleton
from meristem.scaffold.written_files import WrittenFiles, check_free, write_files

CHECKERS: Final = ("coverage>=7.10.3", "mypy>=1.15", "pytest>=8.3", "ruff>=0.9")


class AppKind(msgspec.Struct, frozen=True):
    """An app's framework: what the app needs, what its development needs beside, and how it is served.

    `alone` is the command that serves it without Meristem, `settings` the file of its settings.
    """

    requires: tuple[str, ...]
    target: str
    alone: str
    settings: str
    development: tuple[str, ...] = ()


KINDS: Final = {
    "flask": AppKind(
        ("flask>=3.1",),
        target="{package}:app",
        alone="$(BIN)/flask --app {package} run --port 8000",
        settings="{package}/settings.toml",
    ),
    "fastapi": AppKind(
        ("fastapi>=0.115", "pydantic-settings>=2.7", "uvicorn>=0.34"),
        target="{package}:app",
        alone="$(BIN)/uvicorn {package}:app",
        settings="{package}/settings.py",
        development=("httpx2>=2.0",),
    ),
    "django": AppKind(
        ("django>=5.2",),
        target="{package}.wsgi:application",
        alone="{prefix}_DEBUG=1 $(BIN)/python manage.py runserver",
        settings="{package}/settings.py",
        development=("django-stubs>=5.2",),
    ),
}
"""The frameworks of which the apps differ in these alone; Quart's is the classical skeleton, and all its own."""
APPS: Final = ("quart", *KINDS)
NEXT: Final = ("make test", "make run")


def new_system(package: str, service: str, folder: Path) -> WrittenFiles:
    """Write a system with one service; `package` names both, and the system.

    Raises ConfigurationError, and writes nothing, where a name can't be one or `folder` has something in it.
    """
    check_package(package)
    check_service(service)
    names = {**_surroundings(package), **service_names(package, service)}
    return _written(folder, skeleton("common", "system", "service", **names))


def new_app(package: str, kind: str, folder: Path) -> WrittenFiles:
    """Write an app of a framework (one of `APPS`), which knows nothing of Meristem and is run by it.

    Raises ConfigurationError, and writes nothing, where `package` can't be one or `folder` has something in it.
    """
    check_package(package)
    names = {**_surroundings(package), "package": package, "underline": "=" * len(package)}
    if kind not in KINDS:
        return _written(folder, skeleton("common", kind, **names))
    app, prefix = KINDS[kind], package.upper()
    names |= {
        "PREFIX": prefix,
        "requires": _texts(app.requires),
        "development": _texts(sorted((*CHECKERS, *app.development))),
        "target": app.target.format(package=package),
        "alone": app.alone.format(package=package, prefix=prefix),
        "settings": app.settings.format(package=package),
    }
    return _written(folder, skeleton("common", "app", kind, **names))


def service_names(package: str, service: str, *, system: tuple[str, str] | None = None) -> dict[str, str]:
    """What the templates of a service are given; `system` is the module and the variable of its system.

    Imports are ordered here, because their order depends on the names.
    """
    contract = contract_of(service)
    module, variable = system or (f"{package}.system", "system")
    contracts = f"{package}.contracts.{service}"
    imports = (
        f"from {contracts} import {_listed(contract, 'NoSuchEntry')}",
        f"from {module} import {variable}{'' if variable == 'system' else ' as system'}",
    )
    return {
        "package": package,
        "service": service,
        "contract": contract,
        "imported": _listed(contract, "Entry", "NoSuchEntry"),
        "imports": "\n".join(sorted(imports)),
    }


def _listed(*names: str) -> str:
    return ", ".join(sorted(names))


def _surroundings(package: str) -> dict[str, str]:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"package": package, "python": python, "version": own_version(), "meristem": own_requirement()}


def _texts(each: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f'"{text}"' for text in each)


def _written(folder: Path, files: dict[str, str]) -> WrittenFiles:
    check_free(folder)
    write_files(folder, files)
    return WrittenFiles(folder=folder, created=list(files), next=(f"cd {shlex.quote(str(folder))}", *NEXT))
