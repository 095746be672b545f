"""`@saga`: how a service's method becomes a durable function, and what the system reads of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from types import CoroutineType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, get_origin, overload

import msgspec

from meristem.context import CURRENT
from meristem.contracts.bounds import Pause, wrong
from meristem.contracts.message import Event, Message
from meristem.contracts.wiretypes import annotations_of
from meristem.errors import MisuseError, WiringError
from meristem.sagas.commands import ENGINE_MARK, SAGA_MARK
from meristem.sagas.flow import Flow
from meristem.sagas.records import SagaRow
from meristem.sagas.search import SearchField, search_fields

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class Engine(Protocol):
    """What a bound method starts its saga by."""

    async def run(self, definition: Definition, values: msgspec.Struct) -> Any:
        """Start the saga, or attach to it, and wait for its answer."""
        ...

    async def begin(self, definition: Definition, values: msgspec.Struct) -> str:
        """Start the saga, or find it; its id, once it is stored."""
        ...

    async def look(self, saga_id: str, seconds: float) -> SagaRow:
        """The saga when it rests, or after so many seconds; raises CallError `not_found`."""
        ...

    async def find(self, definition: Definition, fields: Mapping[str, object], limit: int) -> Sequence[str]:
        """The ids of the sagas whose fields have these values, the newest first."""
        ...

    async def cancel(self, saga_id: str) -> None:
        """Have a saga undo what it did; raises CallError for one that has ended."""
        ...

    async def signal(self, saga_id: str, name: str, body: str, key: str) -> None:
        """Keep a signal for a saga; raises CallError for one that has ended, or does not take it."""
        ...


class Definition:
    """A saga as its decorator declares it."""

    def __init__(
        self, function: Callable[..., Awaitable[Any]], *, version: int, supports: int,
        waits: tuple[type[Event], ...], signals: Sequence[type[Message]], patience: float,
        patches: tuple[str, ...], deprecated_patches: tuple[str, ...], search: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.function = function
        self.name = function.__name__
        self.version = version
        self.supports = supports
        self.waits = waits
        self.signals = {each.__name__: each for each in signals}
        self.patience = patience
        self.patches = patches
        self.deprecated_patches = deprecated_patches
        self.search = search
        self.signature = _without_flow(function)

    @cached_property
    def input(self) -> type[msgspec.Struct]:
        """The message that keeps the saga's arguments; resolved late, since annotations may point forward."""
        hints = annotations_of(self.function, self.function.__qualname__)
        fields: list[Any] = []
        for name, parameter in list(self.signature.parameters.items())[1:]:
            if name not in hints:
                raise MisuseError(f"{self.function.__qualname__}: annotate {name!r}, so that it can be journaled")
            if get_origin(hints[name]) is AsyncIterator:
                raise MisuseError(f"{self.function.__qualname__}: the stream {name!r} can't be journaled: take a list")
            bare = parameter.default is inspect.Parameter.empty
            fields.append((name, hints[name]) if bare else (name, hints[name], parameter.default))
        return msgspec.defstruct(f"{self.name}_input", fields, frozen=True, kw_only=True)

    @cached_property
    def searched(self) -> tuple[SearchField, ...]:
        """The fields of its input by which it is found; MisuseError for one that is not there."""
        return search_fields(self.function.__qualname__, self.input, self.search) if self.search else ()

    @cached_property
    def returns(self) -> Any:
        """The type of the saga's answer."""
        hints = annotations_of(self.function, self.function.__qualname__)
        if "return" not in hints:
            raise MisuseError(f"{self.function.__qualname__}: annotate what it returns, `-> None` if nothing")
        return hints["return"]

    def values(self, instance: object, arguments: tuple[Any, ...], named: dict[str, Any]) -> msgspec.Struct:
        """The arguments of one call as a message; TypeError as Python's own for wrong ones."""
        bound = self.signature.bind(instance, *arguments, **named)
        given = dict(bound.arguments)
        given.pop(next(iter(self.signature.parameters)))  # `self`, under whatever name
        return self.input(**given)

    def begin(self, instance: object, flow: Flow, values: msgspec.Struct) -> Awaitable[Any]:
        """Call the function with the arguments of one saga; those that stand behind `*` are given by name."""
        given = msgspec.structs.asdict(values)
        named = inspect.Parameter.KEYWORD_ONLY
        by_name = {name: given.pop(name) for name, each in self.signature.parameters.items() if each.kind is named}
        return self.function(instance, flow, *given.values(), **by_name)


def _without_flow(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if not inspect.iscoroutinefunction(function) or len(parameters) < 2:
        raise MisuseError(
            f"{function.__qualname__}: a saga is written `async def {function.__name__}(self, flow: Flow, ...)`"
        )
    for parameter in parameters:
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise MisuseError(f"{function.__qualname__}: name each parameter; `*{parameter.name}` cannot be journaled")
    return signature.replace(parameters=[parameters[0], *parameters[2:]])


@overload
def saga(
    method: Callable[Concatenate[S, Flow, P], Coroutine[Any, Any, R]], /
) -> Callable[Concatenate[S, P], CoroutineType[Any, Any, R]]: ...


@overload
def saga(
    *,
    version: int = 1,
    supports: int = 1,
    waits: Sequence[type[Event]] = (),
    signals: Sequence[type[Message]] = (),
    patience: float = 60.0,
    patches: Sequence[str] = (),
    deprecated_patches: Sequence[str] = (),
    search: Sequence[str] = (),
) -> Callable[
    [Callable[Concatenate[S, Flow, P], Coroutine[Any, Any, R]]], Callable[Concatenate[S, P], CoroutineType[Any, Any, R]]
]: ...


def saga(
    method: Callable[..., Any] | None = None,
    /,
    *,
    version: int = 1,
    supports: int = 1,
    waits: Sequence[type[Event]] = (),
    signals: Sequence[type[Message]] = (),
    patience: float = 60.0,
    patches: Sequence[str] = (),
    deprecated_patches: Sequence[str] = (),
    search: Sequence[str] = (),
) -> Any:
    """Make an async method durable: callers leave out its second parameter, the flow.

    `version` is what `flow.version` says in new sagas; sagas older than `supports` are parked instead of run.
    `waits` lists the events of `flow.wait_for`, `signals` the messages of `flow.wait_for_signal`. A step whose outcome
    is unknown is repeated for `patience` seconds. `patches` lists the names of `flow.patched`, `deprecated_patches`
    those that older sagas took, and all others do.
    `search` lists fields of the input by which sagas are found: parameters, or fields of one, as `request.guest_id`.
    """
    if not 1 <= supports <= version:
        raise MisuseError(f"@saga(version={version}, supports={supports}): 1 <= supports <= version must hold")

    def decorate(function: Callable[..., Any]) -> Any:
        problem = wrong("patience", patience, Pause) or _alike(signals) or _unsound(patches, deprecated_patches)
        if isinstance(search, str):
            problem = f"fields are listed by their names: search=[{search!r}]"
        if problem is not None:
            raise MisuseError(f"{function.__qualname__}, @saga: {problem}")
        definition = Definition(
            function, version=version, supports=supports, waits=tuple(waits), signals=signals, patience=patience,
            patches=tuple(patches), deprecated_patches=tuple(deprecated_patches),
            search=tuple(search),
        )  # fmt: skip

        @functools.wraps(function)
        async def begin(self: object, *arguments: Any, **named: Any) -> Any:
            outside_of_sagas(f"{function.__qualname__}()", f"await flow.step(self.{function.__name__}, …)")
            engine = engine_of(self, definition)
            return await engine.run(definition, definition.values(self, arguments, named))

        del begin.__wrapped__  # what it wraps takes a flow, which callers don't give
        begin.__signature__ = definition.signature  # type: ignore[attr-defined]
        begin.__annotations__ = {
            name: hint for name, hint in function.__annotations__.items()
            if name in definition.signature.parameters or name == "return"
        }  # fmt: skip
        setattr(begin, SAGA_MARK, definition)
        return begin

    return decorate if method is None else decorate(method)


def _alike(signals: Sequence[type[Message]]) -> str | None:
    """What is wrong with the classes of signals, if anything is: they are sent by their names."""
    names = [each.__name__ for each in signals]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"two signals are called {twice[0]}: rename one of the classes" if twice else None


def _unsound(patches: Sequence[str], deprecated: Sequence[str]) -> str | None:
    """What is wrong with the names of patches, if anything is."""
    if isinstance(patches, str) or isinstance(deprecated, str):
        return 'patches are listed by their names: patches=["charge first"]'
    names = [*patches, *deprecated]
    if not all(names):
        return "a patch needs a name"
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"the patch {twice[0]!r} is listed twice" if twice else None


def sagas_of(service: type) -> dict[str, Definition]:
    """The sagas of a service's class by name, inherited ones included."""
    found: dict[str, Definition] = {}
    for cls in reversed(service.__mro__):  # the bases first, so that a subclass's saga takes the place of theirs
        for name, member in vars(cls).items():
            definition = getattr(member, SAGA_MARK, None)
            if isinstance(definition, Definition):
                found[name] = definition
    return found


def outside_of_sagas(what: str, remedy: str) -> None:
    """Raise MisuseError in a saga's function: what it does there by itself, a resumed run would do again."""
    if CURRENT.get().steps is not None:
        raise MisuseError(f"in a saga's function {what} would run again when the saga resumes: write {remedy}")


def engine_of(instance: object, definition: Definition) -> Engine:
    """What runs the sagas of a service's instance."""
    engine: Engine | None = getattr(instance, ENGINE_MARK, None)
    if engine is None:
        raise WiringError(
            f"{definition.function.__qualname__} is a saga and has no engine; run its service in a system, "
            "or in a test start a SagaEngine for it"
        )
    return engine


def bind(instance: object, engine: Engine) -> None:
    """Give a service's instance the engine that runs its sagas."""
    setattr(instance, ENGINE_MARK, engine)
