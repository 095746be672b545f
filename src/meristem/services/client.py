"""Clients: objects with a contract's methods, each of which is a call."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from meristem.contracts.contract import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.contracts.operation import Operation

ContractT = TypeVar("ContractT")


def make_client(contract: Callable[..., ContractT], entries: Mapping[str, Callable[[Any], Any]]) -> ContractT:
    """A client of `contract`; `entries` take the request message of each operation by method name."""
    known: Any = contract
    client = _client_class(known)()
    for name, entry in entries.items():
        setattr(client, f"_enter_{name}", entry)
    return client  # type: ignore[no-any-return]


@cache
def _client_class(contract: Any) -> Any:
    known = operations(contract)
    methods = {name: _method(operation) for name, operation in known.items()}
    slots = {"__operations__": known, "__init__": lambda _: None, "__module__": contract.__module__}
    return type(f"{contract.__name__}Client", (contract,), {**methods, **slots, "__doc__": contract.__doc__})


def _method(operation: Operation) -> Callable[..., Any]:
    """A method with the operation's own parameters, so that a wrong argument is refused as Python refuses it."""
    names: dict[str, Any] = {"Request": operation.request}
    parameters = []
    for parameter in operation.parameters:
        if parameter.named and "*" not in parameters:
            parameters.append("*")
        if parameter.default is msgspec.NODEFAULT:
            parameters.append(parameter.name)
        else:
            names[f"default_{parameter.name}"] = parameter.default
            parameters.append(f"{parameter.name}=default_{parameter.name}")
    arguments = ", ".join(f"{each.name}={each.name}" for each in operation.parameters)
    request = f"Request({arguments})" if operation.spread else operation.parameters[0].name
    text = (
        f"def {operation.name}({', '.join(['self', *parameters])}):\n    return self._enter_{operation.name}({request})"
    )
    exec(compile(text, f"<client of {operation.contract}>", "exec"), names)  # noqa: S102 - own text
    method = names[operation.name]
    method.__doc__ = operation.doc
    return method  # type: ignore[no-any-return]
