"""The parts of a system, and which modules belong to which of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from meristem.system.beside import TARGET

if TYPE_CHECKING:
    from meristem.system.plan import Plan


class SystemPart(msgspec.Struct, frozen=True):
    """A service or an app: where it is, and the package that is its own.

    `whole` says that all below `package` belongs to it; else that module alone does. Without a package of its own it
    stands in a module with others, and only its class, or its application, is its own.
    """

    name: str
    module: str
    attribute: str
    service: bool
    package: str = ""
    whole: bool = False

    def owns(self, module: str) -> bool:
        """Whether a module belongs to it."""
        return bool(self.package) and (module == self.package or (self.whole and module.startswith(f"{self.package}.")))


class Parts:
    """All parts of a system."""

    def __init__(self, parts: Sequence[SystemPart], shared: Iterable[str] = ()) -> None:
        self.all = tuple(parts)
        self._shared = tuple(shared)

    def owner(self, module: str) -> SystemPart | None:
        """The part to which a module belongs, None for one that is nobody's or that is declared shared."""
        if any(module == each or module.startswith(f"{each}.") for each in self._shared):
            return None
        owners = [each for each in self.all if each.owns(module)]
        return max(owners, key=lambda each: len(each.package), default=None)


def parts_of(plan: Plan, others: Iterable[str], shared: Iterable[str] = ()) -> Parts:
    """The parts of a plan; the modules in `others` belong to none of them: those that define systems."""
    targets = [(each.name, each.target, True) for each in plan.services]
    # An application that a system was given as an object has no module of its own, one in a folder none of the project.
    apps = ((each.name, each.target.removesuffix("()")) for each in plan.apps if each.folder is None)
    targets += [(name, target, False) for name, target in apps if TARGET.match(target)]
    places = [target.partition(":")[0] for _, target, _ in targets]
    others = set(others)
    parts = []
    for number, (name, target, service) in enumerate(targets):
        module, _, attribute = target.partition(":")
        rest = [*places[:number], *places[number + 1 :], *others]
        package, whole = _own_package(module, rest)
        parts.append(SystemPart(name, module, attribute.partition(".")[0], service, package, whole))
    return Parts(parts, shared)


def _own_package(module: str, rest: Iterable[str]) -> tuple[str, bool]:
    """The widest package around a module in which nothing else stands, and whether all of it is meant."""
    if module in rest:
        return "", False
    names = module.split(".")
    for length in range(1, len(names) + 1):
        package = ".".join(names[:length])
        if not any(each == package or each.startswith(f"{package}.") for each in rest):
            return package, True
    return module, False
