"""Finds the adapter of a port by a URL's scheme: the built-in ones, and those that installed packages bring."""

from __future__ import annotations

import importlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

AdapterT = TypeVar("AdapterT")


class _Entry(NamedTuple):
    """Where an adapter is, as an entry point says it (`module:name [extra]`), and whose it is."""

    value: str
    package: str

    def load(self) -> Any:
        module, _, name = self.value.partition(" [")[0].strip().partition(":")
        found = attrgetter(name)(importlib.import_module(module))
        if not callable(found):
            raise TypeError(f"{name} is no function that opens one")
        return found

    @property
    def extra(self) -> str:
        return self.value.partition(" [")[2].rstrip("] ")

    @property
    def remedy(self) -> str:
        if self.extra:
            return f"pip install '{self.package}[{self.extra}]'"
        return f"mend or reinstall the package {self.package}"


class Adapters(Generic[AdapterT]):
    """The adapters of one port by URL scheme; one is imported when its scheme is first asked for.

    `built_in` says where the framework's own are, `group` is the entry point group of packages that bring more, each
    under the name of its scheme. `postgresql+asyncpg` is looked for as such, then as `postgresql`. `example` is a URL
    as people write it.
    """

    def __init__(self, port: str, group: str, built_in: Mapping[str, str], *, example: str) -> None:
        self._port = port
        self._group = group
        self._built_in: Final = {scheme: _Entry(value, "meristem") for scheme, value in built_in.items()}
        self._example = example
        self._loaded: dict[str, AdapterT] = {}

    def check(self, url: str) -> None:
        """Raise ConfigurationError for a URL whose scheme nothing installed knows; no adapter is imported."""
        self._find(url)

    def adapter(self, url: str) -> AdapterT:
        """The adapter of the URL's scheme; raises ConfigurationError if there is none, or it can't be imported."""
        scheme = _scheme(url)
        found = self._loaded.get(scheme)
        if found is None:
            found = self._loaded[scheme] = self._load(scheme, self._find(url))
        return found

    def _load(self, scheme: str, entry: _Entry) -> AdapterT:
        try:
            found: AdapterT = entry.load()
        except (Exception, SystemExit) as error:  # whatever a package raises while it is imported
            missing = _missing(error)
            if entry.extra and missing is not None:
                raise ConfigurationError(
                    f"the {self._port} {scheme!r} needs an extra ({missing} is missing): {entry.remedy}"
                ) from error
            raise ConfigurationError(
                f"the adapter {entry.value} for the {self._port} {scheme!r} can't be imported: "
                f"{type(error).__name__}: {' '.join(str(error).split())}; {entry.remedy}"
            ) from error
        return found

    def _find(self, url: str) -> _Entry:
        scheme = _scheme(url)
        family = scheme.partition("+")[0]
        # These first: no package can take their place, and the metadata of what is installed need not be read.
        found = self._built_in.get(scheme) or self._built_in.get(family)
        if found is None:
            installed = self._installed()
            brought = installed.get(scheme) or installed.get(family, [])
            if len(brought) > 1:
                packages = " and ".join(each.package for each in brought)
                raise ConfigurationError(
                    f"both {packages} bring an adapter for the {self._port} {scheme!r}: uninstall one"
                )
            found = brought[0] if brought else None
        if found is None:
            known = ", ".join(sorted({*self._built_in, *self._installed()}))
            raise ConfigurationError(
                f"there is no adapter for the {self._port} {scheme!r}: there is one for {known}, like {self._example}; "
                f"install the package that brings another, by an entry point in the group {self._group!r}"
            )
        return found

    def _installed(self) -> dict[str, list[_Entry]]:
        """What packages bring; their metadata is read only for a scheme that is not built in."""
        from importlib.metadata import entry_points  # noqa: PLC0415 - costs 20 ms, which the built-in schemes don't pay

        found: dict[str, list[_Entry]] = {}
        for each in entry_points(group=self._group):
            entry = _Entry(each.value, each.dist.name if each.dist is not None else each.module)
            # The same entry may be met twice: a package that is found by two folders of the import path.
            if entry not in (known := found.setdefault(each.name, [])):
                known.append(entry)
        return found


def _missing(error: BaseException) -> str | None:
    """The module that isn't installed, where an import failed by that; an adapter may say so in words of its own."""
    told = error.__cause__ if isinstance(error, ConfigurationError) else error
    return told.name if isinstance(told, ModuleNotFoundError) else None


def _scheme(url: str) -> str:
    """The part before the colon; never the rest, which may hold a password."""
    return url.partition(":")[0].lower()
