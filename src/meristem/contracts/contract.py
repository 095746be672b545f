"""Contracts: classes of async methods without bodies, checked when they are defined."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, ClassVar, Protocol, Self, get_args, get_origin, get_type_hints

import msgspec

from meristem.contracts.bounds import Seconds, fits, unfit
from meristem.contracts.call import connector
from meristem.contracts.codec import decoder
from meristem.contracts.message import Message
from meristem.contracts.operation import Declaration, Http, Operation, Parameter, Semantics
from meristem.contracts.wiretypes import unsupported
from meristem.errors import ContractError, Fault

PLACEHOLDER = re.compile(r"{(\w+)}")


class Contract(Protocol):
    """What others may know of a service.

    Derive from it beside `Protocol` and name the package: `class Payments(Contract, Protocol,
    package="shop.payments.v1")`. Each public method is an operation. Raises ContractError, when the class is
    defined, for a missing annotation, a type that no wire can carry, or two operations on one route.
    """

    contract_name: ClassVar[str] = ""

    def __init_subclass__(cls, *, package: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if package is None:
            if getattr(cls, "_is_protocol", False):
                declared = f"class {cls.__name__}(Contract, Protocol, package='shop.orders.v1')"
                raise ContractError(f"{cls.__name__}: name its package: {declared}")
            return
        cls.contract_name = f"{package}.{cls.__name__}"
        try:
            operations(cls)
        except NameError:
            return  # a type that is defined further down: checked when the contract is first used

    @classmethod
    def client(cls) -> Self:
        """A client of this contract, for code that a system hosts."""
        return connector().client(cls)


def contract_of(implementation: type) -> tuple[type[Contract], ...]:
    """The contracts that a class implements, or the contract itself."""
    return tuple(base for base in implementation.__mro__ if base.__dict__.get("contract_name"))


@cache
def operations(contract: Any) -> dict[str, Operation]:
    """The operations of a contract by method name; raises ContractError for what is declared wrongly."""
    known = {name: _operation(contract, name, method) for name, method in _methods(contract)}
    if not known:
        raise ContractError(f"{contract.__name__}: declare at least one public async method")
    _check_routes(contract, known)
    return known


def _methods(contract: type[Contract]) -> list[tuple[str, Any]]:
    members = [(name, member) for name, member in vars(contract).items() if not name.startswith("_")]
    return [(name, member) for name, member in members if inspect.isfunction(member)]


def _operation(contract: type[Contract], name: str, method: Any) -> Operation:
    where = f"{contract.__name__}.{name}"
    signature = inspect.signature(method)
    hints = get_type_hints(method, include_extras=True)
    parameters = tuple(_parameter(where, parameter, hints) for parameter in list(signature.parameters.values())[1:])
    if "return" not in hints:
        raise ContractError(f"{where}: annotate what it returns, `-> None` if nothing")
    reply, stream = _reply(where, method, hints["return"])
    declaration: Declaration = getattr(method, "__declaration__", Declaration())
    _check_declaration(where, declaration, stream=stream)
    if len(parameters) == 1 and _is_message(parameters[0].type):
        request, spread = parameters[0].type, False
    else:
        request, spread = _request(contract, name, parameters), True
    for parameter in parameters:
        _check_type(f"{where}, parameter {parameter.name!r}", parameter.type)
    if reply is not type(None):
        _check_type(f"{where}, its return type", reply)
    return Operation(
        contract.contract_name,
        name,
        declaration,
        parameters=parameters,
        request=request,
        spread=spread,
        reply=reply,
        stream=stream,
        doc=inspect.getdoc(method) or "",
    )


def _parameter(where: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise ContractError(f"{where}: `*{parameter.name}` cannot cross a wire; name each parameter")
    if parameter.name not in hints:
        raise ContractError(f"{where}: annotate the parameter {parameter.name!r}, e.g. `{parameter.name}: str`")
    default = msgspec.NODEFAULT if parameter.default is inspect.Parameter.empty else parameter.default
    named = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    return Parameter(parameter.name, hints[parameter.name], default, named)


def _reply(where: str, method: Any, returns: Any) -> tuple[Any, bool]:
    if get_origin(returns) is AsyncIterator:
        if inspect.iscoroutinefunction(method):
            raise ContractError(f"{where}: a stream is declared `def`, not `async def`, so that `async for` accepts it")
        return get_args(returns)[0], True
    if not inspect.iscoroutinefunction(method):
        raise ContractError(f"{where}: declare it `async def`, or return AsyncIterator[...] for a stream")
    return returns, False


def _request(contract: type[Contract], name: str, parameters: tuple[Parameter, ...]) -> type:
    fields = [
        (each.name, each.type) if each.default is msgspec.NODEFAULT else (each.name, each.type, each.default)
        for each in parameters
    ]
    method = "".join(part.capitalize() for part in name.split("_"))
    title = f"{contract.__name__}{method}Request"  # a message of the user's may well be named like the method
    return msgspec.defstruct(title, fields, frozen=True, kw_only=True, module=contract.__module__)


def _is_message(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Message)


def _check_type(where: str, type_: Any) -> None:
    problem = unsupported(type_)
    if problem is not None:
        raise ContractError(f"{where}: {problem}")
    try:
        decoder(type_)
    except TypeError as error:  # a constraint that its type does not have
        raise ContractError(f"{where}: {error}") from None


def _check_declaration(where: str, declaration: Declaration, *, stream: bool) -> None:
    for name, seconds in (("timeout", declaration.timeout), ("idle", declaration.idle)):
        if not fits(seconds, Seconds | None):
            raise ContractError(f"{where}: {name}={seconds!r} must be more than 0 seconds, and finite")
    problem = unfit(declaration.retry)
    if problem is not None:
        raise ContractError(f"{where}: {declaration.retry}: {problem}")
    if declaration.idle is not None and not stream:
        raise ContractError(f"{where}: idle={declaration.idle} is for streams; give a timeout")
    for fault in declaration.raises:
        if not (isinstance(fault, type) and issubclass(fault, Fault)):
            raise ContractError(f"{where}: raises=[{fault!r}] must name classes derived from Fault")
    if stream and declaration.semantics is Semantics.ONCE:
        raise ContractError(f"{where}: a stream cannot be @once, its answer is never complete; declare it @safe")
    if declaration.http is not None and declaration.http.verb == "GET" and declaration.semantics is not Semantics.SAFE:
        raise ContractError(f"{where}: GET may be repeated and cached by anyone; declare it @safe or use post()")


def _check_routes(contract: type[Contract], known: dict[str, Operation]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for operation in known.values():
        http: Http | None = operation.http
        if http is None:
            continue
        where = f"{contract.__name__}.{operation.name}"
        if not http.path.startswith("/"):
            raise ContractError(f"{where}: its path {http.path!r} must begin with '/'")
        _check_placeholders(where, operation, http)
        shape = (http.verb, PLACEHOLDER.sub("{}", http.path))
        if shape in taken:
            raise ContractError(
                f"{where}: {http.verb} {http.path} is already {contract.__name__}.{taken[shape]}; give one another path"
            )
        taken[shape] = operation.name


def _check_placeholders(where: str, operation: Operation, http: Http) -> None:
    fields: tuple[str, ...] = operation.request.__struct_fields__  # type: ignore[attr-defined]
    for placeholder in PLACEHOLDER.findall(http.path):
        if placeholder not in fields:
            known = ", ".join(fields) or "(none)"
            raise ContractError(f"{where}: {{{placeholder}}} in {http.path!r} is none of its parameters: {known}")
