"""Contracts: classes of async methods without bodies, checked when they are defined."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, ClassVar, Generic, Protocol, Self, TypeAlias, TypeVar, get_args, get_origin

import msgspec

from meristem.contracts.bounds import Seconds, fits, unfit
from meristem.contracts.call import connector
from meristem.contracts.codec import decoder, fault_payload
from meristem.contracts.operation import Declaration, Http, Operation, Parameter, Semantics
from meristem.contracts.wiretypes import UnknownNameError, annotations_of, fields_of, struct_of, unsupported, unwrap
from meristem.errors import ContractError, Fault

Parameters: TypeAlias = dict[Any, Any]
"""What the type parameters of a generic class stand for."""

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
        if getattr(cls, "__parameters__", ()):
            _check_pattern(cls, package)
            return
        if package is None:
            if getattr(cls, "_is_protocol", False):
                declared = f"class {cls.__name__}(Contract, Protocol, package='shop.orders.v1')"
                raise ContractError(f"{cls.__name__}: name its package: {declared}")
            return
        cls.contract_name = f"{package}.{cls.__name__}"
        try:
            operations(cls)
        except UnknownNameError:
            return  # a type that is defined further down: checked when the contract is first used

    @classmethod
    def client(cls) -> Self:
        """A client of this contract, for code that a system hosts."""
        return connector().client(cls)


def contracts_of(implementation: type) -> tuple[type[Contract], ...]:
    """The contracts that a class implements, without those that are inherited by others of them."""
    found = _named(implementation)
    return tuple(each for each in found if not any(each in other.__mro__ for other in found if other is not each))


def inherited(contract: type[Contract]) -> tuple[type[Contract], ...]:
    """The contracts whose operations a contract has, too, because it is derived from them."""
    return tuple(each for each in _named(contract) if each is not contract)


def _named(cls: type) -> list[type[Contract]]:
    return [base for base in cls.__mro__ if base.__dict__.get("contract_name")]


def _check_pattern(cls: type, package: str | None) -> None:
    if package is not None:
        raise ContractError(
            f"{cls.__name__}: only contracts that say what its type parameters are have a package: "
            f"class Rooms({cls.__name__}[Room], Protocol, package={package!r})"
        )


@cache
def operations(contract: Any) -> dict[str, Operation]:
    """The operations of a contract by method name; raises ContractError for what is declared wrongly."""
    known = {name: _operation(contract, name, *found) for name, found in _methods(contract).items()}
    if not known:
        raise ContractError(f"{contract.__name__}: declare at least one public async method")
    _check_names(contract, known)
    _check_routes(contract, known)
    return known


def _methods(contract: type[Contract]) -> dict[str, tuple[Any, Parameters]]:
    """The public methods, inherited ones included, each with what the type parameters of its class stand for."""
    found: dict[str, tuple[Any, Parameters]] = {}
    stand_for = _stand_for(contract)
    # Bases first, so that what a class declares itself stands in the place of what it inherits.
    for cls in reversed(contract.__mro__):
        if cls in (object, Generic, Protocol, Contract):
            continue
        for name, member in vars(cls).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                found[name] = (member, stand_for.get(cls, {}))
            elif name in found:
                del found[name]
    return found


def _stand_for(contract: Any) -> dict[Any, Parameters]:
    """What the type parameters of each generic class that a contract is derived from stand for."""
    found: dict[Any, Parameters] = {}
    open_: list[tuple[Any, Parameters]] = [(contract, {})]
    while open_:
        cls, outer = open_.pop()
        # What was written there (PEP 560): in `__bases__` the arguments of generic classes are lost.
        for base in getattr(cls, "__orig_bases__", cls.__bases__):
            origin = get_origin(base) or base
            given = [_filled(each, outer) for each in get_args(base)]
            found[origin] = dict(zip(getattr(origin, "__parameters__", ()), given, strict=False))
            if isinstance(origin, type) and origin not in (object, Generic, Protocol):
                open_.append((origin, found[origin]))
    return found


def _filled(type_: Any, parameters: Parameters) -> Any:
    """The type with what its type parameters stand for."""
    if isinstance(type_, TypeVar):
        return parameters.get(type_, type_)
    open_ = getattr(type_, "__parameters__", ())
    return type_[tuple(parameters.get(each, each) for each in open_)] if open_ and parameters else type_


def _operation(contract: type[Contract], name: str, method: Any, stand_for: Parameters) -> Operation:
    where = f"{contract.__name__}.{name}"
    signature = inspect.signature(method)
    hints = {each: _filled(hint, stand_for) for each, hint in annotations_of(method, where).items()}
    parameters = tuple(_parameter(where, parameter, hints) for parameter in list(signature.parameters.values())[1:])
    if "return" not in hints:
        raise ContractError(f"{where}: annotate what it returns, `-> None` if nothing")
    reply, stream = _reply(where, method, hints["return"])
    declaration: Declaration = getattr(method, "__declaration__", Declaration())
    _check_declaration(where, declaration, stream=stream)
    for parameter in parameters:
        _check_type(f"{where}, parameter {parameter.name!r}", parameter.type)
    if reply is not type(None):
        _check_type(f"{where}, its return type", reply)
    if len(parameters) == 1 and struct_of(parameters[0].type) is not None:
        request, spread = unwrap(parameters[0].type), False
    else:
        request, spread = _request(contract, name, parameters), True
        _check_type(where, request)
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
    made = msgspec.defstruct(title, fields, frozen=True, kw_only=True, module=contract.__module__)
    made.__qualname__ = f"{contract.__qualname__}.{title}"  # of two contracts of one name in a module, too
    return made


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
        known: Any = fault
        _check_type(f"{where}, its fault", fault_payload(known))
    if stream and declaration.semantics is Semantics.ONCE:
        raise ContractError(f"{where}: a stream cannot be @once, its answer is never complete; declare it @safe")
    # RFC 9110, section 9.2.1: caches, crawlers and proxies send a GET as often as they like.
    if declaration.http is not None and declaration.http.verb == "GET" and declaration.semantics is not Semantics.SAFE:
        raise ContractError(f"{where}: GET may be repeated and cached by anyone; declare it @safe or use post()")


def _check_names(contract: type[Contract], known: dict[str, Operation]) -> None:
    """Two operations, or two faults, that no caller elsewhere could tell apart are refused."""
    operations_by_name: dict[str, str] = {}
    faults: dict[str, type[Fault]] = {}
    for operation in known.values():
        other = operations_by_name.setdefault(operation.wire_name, operation.name)
        if other != operation.name:
            where = f"{contract.__name__}.{operation.name}"
            raise ContractError(f"{where}: it and {other!r} are both {operation.wire_name!r} on the wire; rename one")
        for fault in operation.raises:
            if faults.setdefault(fault.__name__, fault) is not fault:
                raise ContractError(
                    f"{contract.__name__}.{operation.name}: {_path(fault)} and {_path(faults[fault.__name__])} are "
                    f"both {fault.__name__!r} on the wire; rename one"
                )


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


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
        # Without their names: `/rooms/{id}` and `/rooms/{room}` are one path to whoever looks for it.
        shape = (http.verb, PLACEHOLDER.sub("{}", http.path))
        if shape in taken:
            raise ContractError(
                f"{where}: {http.verb} {http.path} is already {contract.__name__}.{taken[shape]}; give one another path"
            )
        taken[shape] = operation.name


def _check_placeholders(where: str, operation: Operation, http: Http) -> None:
    fields = [each.name for each in fields_of(operation.request)]
    placeholders = PLACEHOLDER.findall(http.path)
    for placeholder in placeholders:
        if placeholder not in fields:
            known = ", ".join(fields) or "(none)"
            raise ContractError(f"{where}: {{{placeholder}}} in {http.path!r} is none of its parameters: {known}")
    if len(set(placeholders)) < len(placeholders):
        raise ContractError(f"{where}: {http.path!r} has one placeholder twice")
    if "}{" in http.path:
        raise ContractError(f"{where}: write something between the placeholders of {http.path!r} to tell them apart")
