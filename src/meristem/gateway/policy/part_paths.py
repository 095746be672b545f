"""The paths at which the parts of a system are served: what a route means that names an app or an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from meristem.errors import ConfigurationError
from meristem.hints import meant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class OperationPath(NamedTuple):
    """Where an operation is served: at `rpc`, and by REST with its verb at a path with placeholders, if it has one."""

    rpc: str
    verb: str = ""
    path: str = ""


class PartPaths(msgspec.Struct, frozen=True):
    """The mounts of apps and programs by name, and the paths of operations by what they are called.

    An operation is called `shop.v1.Payments.charge`; paths of REST are below `api`.
    """

    mounts: dict[str, str] = {}
    operations: dict[str, OperationPath] = {}
    api: str = "/api"

    def mount(self, app: str) -> str:
        """Where an app or program is mounted; raises ConfigurationError."""
        if app not in self.mounts:
            raise ConfigurationError(f"app: no app or program {app!r} is mounted; {_known(app, self.mounts)}")
        return self.mounts[app]

    def of(self, pattern: str) -> Iterator[OperationPath]:
        """The operations that `shop.v1.Payments.charge` or `shop.v1.Payments/*` names; raises ConfigurationError."""
        contract, wild, _ = pattern.partition("/")
        named = [name for name in self.operations if name == pattern or (wild and name.rpartition(".")[0] == contract)]
        if not named:
            known: Sequence[str] = [*self.operations]
            if wild:
                known = [*dict.fromkeys(f"{each.rpartition('.')[0]}/*" for each in known)]
            raise ConfigurationError(f"operations: there is no operation {pattern!r}; {_known(pattern, known)}")
        yield from (self.operations[name] for name in named)


def _known(name: str, known: Iterable[str]) -> str:
    return meant(name, known, f"known are {', '.join(known) or 'none'}")
