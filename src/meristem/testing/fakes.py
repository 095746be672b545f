"""What stands for services that a test leaves out; a fake of nothing would be a test of nothing, and is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.errors import CallError, Code, MisuseError
from meristem.services.service import describe, is_contract
from meristem.system.blueprint import Blueprint
from meristem.system.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.services.service import Service


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


def narrowed(
    system: System, only: Sequence[type[Service] | str], fakes: Mapping[type, object]
) -> tuple[System, dict[type, object]]:
    """The system of those services alone, and fakes for all others: each call of a contract not in `fakes` is refused.

    Raises MisuseError for what is no service of the system's.
    """
    whole = Blueprint(system, assumed=contracts_of(fakes))
    specs = {each.name: whole.spec(each.name) for each in whole.plan.services}
    kept = [_name(each, whole) for each in only]
    if not kept:
        raise MisuseError(f"only=[]: name the services of {system.name!r} that run, e.g. only=[{_classes(whole)[0]}]")
    left_out: dict[type, object] = {}
    for spec in specs.values():
        asked = [need.type for need in spec.all_needs() if is_contract(need.type)]
        for contract in (*spec.contracts, *asked):
            owner = whole.owner_of(contract)
            if owner is not None and owner not in kept:
                left_out[contract] = LeftOut(contract, specs[owner].implementation.__name__)
    services = [spec.implementation for name, spec in specs.items() if name in kept]
    kept_as_they_are = ("apps", "programs", "authenticate", "api", "about", "middleware", "outgoing", "external")
    others = {name: getattr(system, name) for name in kept_as_they_are}
    return System(system.name, services=services, **others), left_out | dict(fakes)


def _name(service: type[Service] | str, whole: Blueprint) -> str:
    names = [each.name for each in whole.plan.services]
    name = service if isinstance(service, str) else getattr(service, "service_name", None)
    is_known = name in names and (isinstance(service, str) or whole.spec(str(name)).implementation is service)
    if not is_known:
        shown = repr(service) if isinstance(service, str) else service.__name__
        raise MisuseError(
            f"only=[{shown}]: no service of {whole.system.name!r} is that; it has {', '.join(_classes(whole))}"
        )
    return str(name)


def _classes(whole: Blueprint) -> list[str]:
    return [whole.spec(each.name).implementation.__name__ for each in whole.plan.services]


class LeftOut:
    """Stands for a contract whose service `only=` leaves out, and which nothing fakes: it refuses each call."""

    def __init__(self, contract: type, service: str) -> None:
        self._contract = contract.__name__
        self._service = service

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def refuse(*_: object, **__: object) -> Any:
            text = (
                f"{self._contract}.{operation} has nobody to answer it: {self._service} is not in only=; "
                f"add it, or fake it by fakes={{{self._contract}: …}} with an object that has {operation}()"
            )
            raise CallError(Code.UNIMPLEMENTED, text, may_have_happened=False)

        return refuse
