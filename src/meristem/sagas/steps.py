"""What a saga calls: an operation of another service, a step of its own, or another saga."""

from __future__ import annotations

import hashlib
import inspect
import typing
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final

import msgspec

from meristem.contracts.operation import Operation, Semantics
from meristem.errors import MisuseError
from meristem.sagas.records import Kind

# Sets and maps in one order whatever the process: the same request must hash alike after a restart.
canonical: Final = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical", order="deterministic").encode
SAGA_MARK: Final = "__saga__"


class Step(msgspec.Struct, frozen=True):
    """A callable, understood: `direct` means that it is one call of one operation, which takes the step's own key.

    A `lasting` one keeps its answer under that key: whoever repeats the call gets it again.
    """

    kind: Kind
    name: str
    reply: Any
    direct: bool
    harmless: bool = False
    lasting: bool = False


def step_of(method: Callable[..., Awaitable[Any]], *, needs_reply: bool = True) -> Step:
    """How to treat `method`; raises MisuseError when its answer could not be journaled."""
    operation = _operation(method)
    if operation is not None:
        if operation.stream:
            raise MisuseError(f"{operation.label} is a stream; a saga's step needs one answer")
        if not operation.semantics.repeatable:
            raise MisuseError(
                f"{operation.label}: a saga repeats a step after a crash; declare it @once or @idempotent"
            )
        harmless, lasting = operation.semantics is Semantics.SAFE, operation.semantics is Semantics.ONCE
        return Step(Kind.CALL, operation.label, operation.reply, True, harmless, lasting)
    function = getattr(method, "__func__", method)
    definition = getattr(function, SAGA_MARK, None)
    if definition is not None:
        return Step(Kind.CALL, function.__qualname__, definition.returns, True, lasting=True)
    name = getattr(function, "__qualname__", None)
    if name is None:
        raise MisuseError(f"{method!r} cannot be a step; give a client's method, or an async function or method")
    return Step(Kind.LOCAL, name, _returns(function) if needs_reply else Any, False)


def _operation(method: Any) -> Operation | None:
    owner = getattr(method, "__self__", None)
    found: Operation | None = getattr(type(owner), "__operations__", {}).get(getattr(method, "__name__", ""))
    return found


@cache
def _returns(function: Callable[..., Any]) -> Any:
    where = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise MisuseError(f"{where} cannot be a step: declare it `async def`")
    hints = typing.get_type_hints(function, include_extras=True)
    if "return" not in hints:
        raise MisuseError(f"{where}: annotate what it returns, `-> None` if nothing, so that it can be journaled")
    return hints["return"]


def fingerprint(name: str, values: Any) -> str:
    """A short hash of a request: enough to see that the code asks something else than before."""
    try:
        text = canonical(values)
    except TypeError as error:
        raise MisuseError(
            f"{name}: its arguments cannot be journaled: {error}; give messages and plain values"
        ) from None
    return hashlib.blake2b(text, digest_size=8).hexdigest()
