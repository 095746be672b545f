"""Clients: objects with a contract's methods, each of which is a call."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgspec

from meristem.contracts.contract import operations
from meristem.contracts.items import GivenItems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from meristem.contracts.operation import Operation

ContractT = TypeVar("ContractT")


class Entry(NamedTuple):
    """What a method of a client does: lines of source in which `{request}` stands for the request message.

    `names` are what the lines refer to. They begin with two underscores, as no parameter of a method can.
    """

    lines: tuple[str, ...]
    names: Mapping[str, Any]


DOOR: Final = "__sagas__"


class Door(NamedTuple):
    """What a client bears under the name `DOOR`: how the sagas are reached that may stand behind its `operations`."""

    service: str
    sagas: Callable[[], Any]
    operations: Mapping[str, Operation]


def make_client(contract: Callable[..., ContractT], entries: Mapping[str, Entry]) -> ContractT:
    """A client of `contract`; `entries` are what its methods do, by name.

    The entry is the method's own text: a function in between would cost a call as much as half an await.
    """
    known: Any = contract
    methods = {name: _method(operation, entries[name]) for name, operation in operations(known).items()}
    # By its operations a saga knows that a step calls a service (`sagas/commands.py`).
    slots = {"__operations__": operations(known), "__init__": lambda _: None, "__module__": known.__module__}
    made = type(f"{known.__name__}Client", (known,), {**methods, **slots, "__doc__": known.__doc__})
    return made()  # type: ignore[no-any-return]


def _method(operation: Operation, entry: Entry) -> Callable[..., Any]:
    """A method with the operation's own parameters, so that a wrong argument is refused as Python refuses it."""
    defaults = {f"__default_{each.name}": each.default for each in operation.parameters}
    # In a class's body Python rewrites `__x` to `_Class__x` (Language Reference, 6.2.1), so no parameter is called so.
    names: dict[str, Any] = {"__Request": operation.request, **defaults, **entry.names}
    if operation.takes_stream:
        names["__Request"] = partial(GivenItems, operation)
    text = method_source(operation, entry)
    exec(_compiled(text, f"<client of {operation.contract}>"), names)  # noqa: S102 - own text
    method = names[operation.name]
    method.__doc__ = operation.doc
    return method  # type: ignore[no-any-return]


def method_source(operation: Operation, entry: Entry) -> str:
    """The text of a client's method.

    That of `async def find(self, city: str, *, nights: int = 1) -> Offers` is:

        def find(self, city, *, nights=__default_nights):
            return __enter(__Request(city=city, nights=nights))
    """
    parameters = ["self"]
    for parameter in operation.parameters:
        if parameter.named and "*" not in parameters:
            parameters.append("*")
        is_needed = parameter.default is msgspec.NODEFAULT
        parameters.append(parameter.name if is_needed else f"{parameter.name}=__default_{parameter.name}")
    arguments = ", ".join(f"{each.name}={each.name}" for each in operation.parameters)
    request = f"__Request({arguments})" if operation.spread else operation.parameters[0].name
    if operation.takes_stream:
        request = f"__Request({operation.parameters[0].name})"
    body = [f"    {line.format(request=request)}" for line in entry.lines]
    return "\n".join([f"def {operation.name}({', '.join(parameters)}):", *body])


@lru_cache(maxsize=1024)
def _compiled(text: str, file: str) -> CodeType:
    """Each caller of an operation has a method of its own, of the same code."""
    return compile(text, file, "exec")
