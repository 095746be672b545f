"""Contracts: classes of async methods without bodies, checked when they are defined."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Protocol, Self, TypeAlias, TypeVar, get_args, get_origin

import msgspec

from meristem.contracts.call import connector
from meristem.contracts.declaration_checks import check_declaration, check_name, check_names, check_type
from meristem.contracts.operation import Declaration, Http, Operation, Parameter
from meristem.contracts.rest_fields import Body, place_in
from meristem.contracts.routes import check_apart, place_of
from meristem.contracts.wiretypes import UnknownNameError, annotations_of, struct_of, unwrap
from meristem.errors import ContractError

STREAMS: Final = (AsyncIterator, AsyncIterable, AsyncGenerator)
Parameters: TypeAlias = dict[Any, Any]
"""What the type parameters of a generic class stand for."""


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
        cls.contract_name = f"{package}.{cls.__name__}" if package else cls.__name__
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
    known = {}
    for name, (method, stand_for) in _methods(contract).items():
        try:
            known[name] = _operation(contract, name, method, stand_for)
        except ContractError as error:
            error.args = (f"{_file(method)}: {error}",)  # the traceback names the line of the class at best
            raise
    if not known:
        raise ContractError(f"{contract.__name__}: declare at least one public async method")
    check_names(contract.__name__, known)
    check_apart(known.values())
    return known


def _file(method: Any) -> str:
    """File and line of a method, as editors take them: the file from the working directory if it lies below that."""
    code = method.__code__
    path = Path(code.co_filename)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{code.co_firstlineno}"


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
    parameters, takes_stream = _items(where, parameters)
    if "return" not in hints:
        raise ContractError(f"{where}: annotate what it returns, `-> None` if nothing")
    reply, stream = _reply(where, method, hints["return"])
    declaration: Declaration = getattr(method, "__declaration__", Declaration())
    check_name(where, declaration.name)
    check_declaration(where, declaration, stream=stream, takes_stream=takes_stream)
    for parameter in parameters:
        check_type(f"{where}, parameter {parameter.name!r}", parameter.type)
    if reply is not type(None):
        check_type(f"{where}, its return type", reply)
    if len(parameters) == 1 and struct_of(parameters[0].type) is not None:
        request, spread = unwrap(parameters[0].type), False
    else:
        request, spread = _request(contract, name, parameters), True
        check_type(where, request)
    return Operation(
        contract.contract_name,
        name,
        declaration,
        parameters=parameters,
        request=request,
        spread=spread,
        reply=reply,
        stream=stream,
        takes_stream=takes_stream,
        doc=inspect.getdoc(method) or "",
        http=_place(where, declaration, request, reply, parameters, takes_stream=takes_stream),
        module=contract.__module__,
        contract_doc=inspect.cleandoc(vars(contract).get("__doc__") or ""),
    )


def _parameter(where: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise ContractError(f"{where}: `*{parameter.name}` cannot cross a wire; name each parameter")
    if parameter.name not in hints:
        raise ContractError(f"{where}: annotate the parameter {parameter.name!r}, e.g. `{parameter.name}: str`")
    default = msgspec.NODEFAULT if parameter.default is inspect.Parameter.empty else parameter.default
    named = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    return Parameter(parameter.name, hints[parameter.name], default, named)


def _items(where: str, parameters: tuple[Parameter, ...]) -> tuple[tuple[Parameter, ...], bool]:
    """The parameters, and whether the only one is a stream, whose type is then that of an item."""
    streams = [each for each in parameters if get_origin(each.type) in STREAMS]
    if not streams:
        return parameters, False
    name, type_ = streams[0].name, streams[0].type
    if get_origin(type_) is not AsyncIterator:
        raise ContractError(f"{where}: declare the stream as `{name}: AsyncIterator[…]`")
    if len(parameters) > 1:
        others = ", ".join(each.name for each in parameters if each is not streams[0])
        raise ContractError(
            f"{where}: the stream {name!r} is the only parameter, as in gRPC: put {others} into its items, or into a "
            "call that comes before"
        )
    if streams[0].default is not msgspec.NODEFAULT:
        raise ContractError(f"{where}: the stream {name!r} has no default: declare `{name}: AsyncIterator[…]`")
    return (msgspec.structs.replace(streams[0], type=get_args(type_)[0]),), True


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


def _place(
    where: str,
    declaration: Declaration,
    request: type,
    reply: Any,
    parameters: tuple[Parameter, ...],
    *,
    takes_stream: bool,
) -> Http | None:
    marked = {each.name: place for each in parameters if (place := place_in(each.type)) is not None}
    for name, place in marked.items():
        if declaration.http is None:
            raise ContractError(f"{where}: {name!r} has a place in REST, and the method none: write http= beside it")
        if place != Body() and len(parameters) == 1 and struct_of(parameters[0].type) is not None:
            raise ContractError(f"{where}: {name!r} is a message: its fields have the places, {name!r} is their body")
    try:
        return place_of(declaration, request, reply, takes_stream=takes_stream)
    except ContractError as error:
        raise ContractError(f"{where}: {error}") from None
