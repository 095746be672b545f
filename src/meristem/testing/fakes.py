"""Fakes are checked before a system runs with them: a key that stands for nothing would be a test of nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.errors import MisuseError
from meristem.services.service import describe, is_contract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.system.system import System


def check_fakes(system: System, fakes: Mapping[type, object]) -> None:
    """Raises MisuseError for a key that is no contract of the system's, and nothing that `provides=` makes."""
    if not fakes or any(isinstance(each, str) for each in system.services):
        return  # services that are named by text are not imported for this
    contracts: set[Any] = set()
    provided: set[Any] = set()
    for service in system.services:
        spec = describe(service)  # type: ignore[arg-type]
        contracts |= {*spec.contracts, *(need.type for need in spec.all_needs() if is_contract(need.type))}
        provided |= {each.makes for each in spec.providers}
    for key in fakes:
        if key not in contracts | provided:
            name = getattr(key, "__name__", repr(key))
            there_are = ", ".join(sorted(each.__name__ for each in contracts | provided)) or "none"
            raise MisuseError(
                f"fakes={{{name}: …}}: no service of {system.name!r} implements, asks for or provides {name}; "
                f"what can be faked: {there_are}"
            )


def contracts_of(fakes: Mapping[type, object] | None) -> tuple[Any, ...]:
    """The contracts that are faked, for which no service has to be there."""
    return tuple(each for each in fakes or () if is_contract(each))
