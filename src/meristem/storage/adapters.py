"""The registry of databases: a URL's scheme, and the driver that it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from meristem.adapters import Adapters

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.storage.driver import Driver


class OpenDriver(Protocol):
    """What a package brings under the entry point group `meristem.databases`, named like its URLs' scheme."""

    def __call__(self, url: str, *, name: str, directory: Path) -> Driver:
        """The driver of the database at `url`, not started; `name` is its service.

        A relative path in the URL is one below `directory`. Raises ConfigurationError for a URL that can't be meant.
        """
        ...


DATABASES: Final[Adapters[OpenDriver]] = Adapters(
    "database",
    "meristem.databases",
    {
        "sqlite": "meristem.storage.sqlite.opening:open_driver",
        "postgresql": "meristem.storage.postgresql.opening:open_driver",
        "postgres": "meristem.storage.postgresql.opening:open_driver",
    },
    example="sqlite:///data/service.db",
)
