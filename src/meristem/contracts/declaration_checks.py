"""What a contract may not declare of its methods, beyond types and places in REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.contracts.bounds import Seconds, fits, unfit
from meristem.contracts.codec import decoder, fault_payload
from meristem.contracts.operation import Semantics
from meristem.contracts.wiretypes import unsupported
from meristem.errors import ContractError, Fault

if TYPE_CHECKING:
    from meristem.contracts.operation import Cache, Declaration, Operation


def check_type(where: str, type_: Any) -> None:
    """Raises ContractError for a type that no wire can carry."""
    problem = unsupported(type_)
    if problem is not None:
        raise ContractError(f"{where}: {problem}")
    try:
        decoder(type_)
    except TypeError as error:  # a constraint that its type does not have
        raise ContractError(f"{where}: {error}") from None


def check_declaration(where: str, declaration: Declaration, *, stream: bool, takes_stream: bool) -> None:
    """Raises ContractError for what a decorator says of a method and can't hold."""
    for name, seconds in (("timeout", declaration.timeout), ("idle", declaration.idle)):
        if not fits(seconds, Seconds | None):
            raise ContractError(f"{where}: {name}={seconds!r} must be more than 0 seconds, and finite")
    problem = unfit(declaration.retry)
    if problem is not None:
        raise ContractError(f"{where}: {declaration.retry}: {problem}")
    if declaration.idle is not None and not (stream or takes_stream):
        raise ContractError(f"{where}: idle={declaration.idle} is for streams; give a timeout")
    for fault in declaration.raises:
        if not (isinstance(fault, type) and issubclass(fault, Fault)):
            raise ContractError(f"{where}: raises=[{fault!r}] must name classes derived from Fault")
        known: Any = fault
        check_type(f"{where}, its fault", fault_payload(known))
    if declaration.max_staleness is not None:
        _check_staleness(where, declaration, takes_stream=takes_stream)
    if declaration.cache is not None:
        _check_cache(where, declaration, declaration.cache, stream=stream)
    if declaration.cpu:
        _check_computing(where, declaration, streams=stream or takes_stream)
    _check_streams(where, declaration, stream=stream, takes_stream=takes_stream)


def _check_staleness(where: str, declaration: Declaration, *, takes_stream: bool) -> None:
    if not fits(declaration.max_staleness, Seconds):
        raise ContractError(
            f"{where}: max_staleness={declaration.max_staleness!r} must be more than 0 seconds, and finite"
        )
    if declaration.semantics is not Semantics.SAFE:
        raise ContractError(f"{where}: max_staleness= is for what only reads: declare it @safe, or drop max_staleness=")
    if declaration.cpu:
        raise ContractError(f"{where}: max_staleness= is of a database, which a service that computes has not: drop it")
    if takes_stream:
        raise ContractError(f"{where}: max_staleness= is for what only reads: what takes a stream is sent something")


def _check_cache(where: str, declaration: Declaration, cache: Cache, *, stream: bool) -> None:
    if (problem := unfit(cache)) is not None:
        raise ContractError(f"{where}: {cache}: {problem}")
    if declaration.semantics is not Semantics.SAFE:
        raise ContractError(f"{where}: cache= is for what only reads: declare it @safe, or drop cache=")
    if stream:
        raise ContractError(f"{where}: cache= is for an answer that is whole, not for a stream: drop it")
    if cache.public and declaration.authenticated:
        raise ContractError(
            f"{where}: an answer for a user who has signed in is not for others: drop public=True, or authenticated="
        )


def _check_streams(where: str, declaration: Declaration, *, stream: bool, takes_stream: bool) -> None:
    if stream and declaration.semantics is Semantics.ONCE:
        raise ContractError(f"{where}: a stream cannot be @once, its answer is never complete; declare it @safe")
    if takes_stream and declaration.semantics is Semantics.ONCE:
        raise ContractError(
            f"{where}: what takes a stream cannot be @once: its request is known only when it is over, and can't be "
            "sent again; declare it @operation, and let the items bear an id of the whole"
        )
    if stream and takes_stream and declaration.http is not None:
        raise ContractError(
            f"{where}: http={declaration.http!r}: both sides stream, which HTTP/1.1 has no way for: drop http=, and "
            "call it by gRPC, or from a service of the system"
        )


def _check_computing(where: str, declaration: Declaration, *, streams: bool) -> None:
    if streams:
        raise ContractError(f"{where}: cpu=True is for an operation that is answered once; a stream runs where it is")
    if declaration.semantics is Semantics.ONCE:
        raise ContractError(
            f"{where}: @once keeps answers in a database, which a worker has not: declare it @safe or @idempotent, and "
            "let who calls it be @once"
        )


def check_name(where: str, name: str | None) -> None:
    """Raises ContractError for a name that no wire can carry."""
    if name is not None and not (name.isascii() and name.isidentifier()):
        raise ContractError(f"{where}: name={name!r} must be a word of letters, digits and _")


def check_names(contract: str, known: dict[str, Operation]) -> None:
    """Two operations, or two faults, that no caller elsewhere could tell apart are refused."""
    operations_by_name: dict[str, str] = {}
    faults: dict[str, type[Fault]] = {}
    for operation in known.values():
        other = operations_by_name.setdefault(operation.wire_name, operation.name)
        if other != operation.name:
            where = f"{contract}.{operation.name}"
            raise ContractError(f"{where}: it and {other!r} are both {operation.wire_name!r} on the wire; rename one")
        for fault in operation.raises:
            if faults.setdefault(fault.__name__, fault) is not fault:
                raise ContractError(
                    f"{contract}.{operation.name}: {_path(fault)} and {_path(faults[fault.__name__])} are "
                    f"both {fault.__name__!r} on the wire; rename one"
                )


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
