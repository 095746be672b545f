"""Sagas that are started without waiting: a handle tells their state and answer, and ends them before their time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, ParamSpec, Protocol, Self, TypeVar

from meristem.context import CURRENT
from meristem.contracts.codec import decoder, encode, encoder
from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import Operation, idempotent, safe
from meristem.errors import CallError, Code, MisuseError, SagaParked
from meristem.sagas.callers import answer_of
from meristem.sagas.children import AGAIN
from meristem.sagas.commands import SAGA_MARK, START
from meristem.sagas.failures import ChildFailed, Verdict, describe, judge, read, revive, write
from meristem.sagas.records import SagaRow, SagaState
from meristem.sagas.saga import Definition, Engine, engine_of, outside_of_sagas
from meristem.sagas.signalling import new_key
from meristem.services.client import DOOR, Door
from meristem.services.outbound import key_of

P = ParamSpec("P")
R = TypeVar("R")

_ENDED: Final = (SagaState.DONE, SagaState.FAILED)
LOOK: Final = 10.0  # seconds that one call waits for a saga's rest


class SagaStatus(Message):
    """How far a saga has come: its result as JSON when it is done, the journal's form of its error when it failed."""

    state: SagaState
    result: str | None = None
    failure: str | None = None


class Sagas(Contract, Protocol, package="meristem.sagas.v1"):
    """Starts and steers the sagas of a process's services, for callers that do not wait."""

    @idempotent(timeout=30.0)
    async def begin(self, service: str, operation: str, request: str, key: str) -> str:
        """Start the saga behind an operation under an idempotency key; its id, once it is stored. A request is JSON.

        Raises CallError `unimplemented` for an operation that is no saga.
        """
        ...

    @safe(timeout=30.0)
    async def look(self, service: str, saga_id: str, seconds: float, operation: str = "") -> SagaStatus:
        """The saga's state when it rests, or after so many seconds; raises CallError `not_found`.

        So it does for a saga that is not the one behind the `operation`, where its path is given.
        """
        ...

    @idempotent(timeout=30.0)
    async def signal(self, service: str, saga_id: str, name: str, body: str, key: str, operation: str = "") -> None:
        """Keep a signal, as JSON, for a saga; once under one key. Raises CallError as `SagaHandle.signal`."""
        ...

    @idempotent(timeout=30.0)
    async def cancel(self, service: str, saga_id: str, operation: str = "") -> None:
        """Undo what the saga did; raises CallError `failed_precondition` for one that has ended."""
        ...


class Steering(Protocol):
    """The way to one service's sagas of one kind."""

    reply: Any
    label: str

    async def begin(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> str: ...

    async def look(self, saga_id: str, seconds: float) -> SagaStatus: ...

    async def cancel(self, saga_id: str) -> None: ...

    async def signal(self, saga_id: str, name: str, body: str, key: str) -> None: ...


class SagaHandle(Generic[R]):
    """A saga that goes on by itself; keep its `id` to ask for it again with `SagaHandle.of` its method."""

    def __init__(self, saga_id: str, steering: Steering) -> None:
        self.id = saga_id
        self._steering = steering

    @classmethod
    def of(cls, method: Callable[..., Awaitable[R]], saga_id: str) -> Self:
        """The handle of a saga that `method` began; nothing is asked yet."""
        return cls(saga_id, _steering(method))

    def state(self) -> Coroutine[Any, Any, SagaState]:
        """How far it has come; raises CallError `not_found` for an id that is of no such saga of its service."""
        return self._ask("state", self._state, SagaState)

    def result(self) -> Coroutine[Any, Any, R]:
        """Its answer, waited for until the deadline of the call that runs now; raises its Fault or CallError.

        SagaParked when a person must look. The saga goes on whatever becomes of this call: ask again. A saga's function
        waits as long as it takes, also for a person.
        """
        if CURRENT.get().steps is None:
            return self._result()
        return self._ask("result", self._outlast, self._steering.reply, lasts=True)

    def cancel(self) -> Coroutine[Any, Any, None]:
        """Have it undo what it did; raises CallError `failed_precondition` when it has ended or is undone already."""
        return self._ask("cancel", partial(self._steering.cancel, self.id), None)

    def signal(self, signal: Message) -> Coroutine[Any, Any, None]:
        """Send it a message of a class that its `@saga(signals=[...])` lists.

        It is kept until the saga waits for it, and handed out once. Raises CallError `not_found` for an id that is of
        no such saga of its service, `failed_precondition` when the saga has ended or is being undone,
        `invalid_argument` for a signal that it does not take.
        """
        return self._ask("signal", partial(self._signal, signal), None, type(signal).__name__, signal)

    def _ask(
        self, what: str, call: Callable[[], Awaitable[Any]], reply: Any, *request: Any, lasts: bool = False
    ) -> Coroutine[Any, Any, Any]:
        """What is asked, now; in a saga's function it is a step."""
        if (steps := CURRENT.get().steps) is None:
            return _awaited(call)
        step: Coroutine[Any, Any, Any] = steps.ask(
            f"{what} of {self._steering.label}", call, [self.id, *request], reply, lasts=lasts
        )
        return step

    async def _state(self) -> SagaState:
        return (await self._steering.look(self.id, 0.0)).state

    async def _signal(self, signal: Message) -> None:
        await self._steering.signal(self.id, type(signal).__name__, encode(signal).decode(), new_key())

    async def _result(self) -> R:
        while (status := await self._steering.look(self.id, LOOK)).state not in _ENDED:
            if status.state is SagaState.PARKED:
                raise SagaParked(self.id, private=True)
        return self._answer(status)

    async def _outlast(self) -> R:
        """The answer for a saga, which waits through what passes: its own patience is for calls."""
        while True:
            try:
                status = await self._steering.look(self.id, LOOK)
            except CallError as error:
                if judge(error) is Verdict.FINAL:
                    raise
                status = SagaStatus(state=SagaState.RUNNING)
                await asyncio.sleep(AGAIN)
            if status.state is SagaState.PARKED:
                await asyncio.sleep(AGAIN)
            elif status.state in _ENDED:
                break
        try:
            return self._answer(status)
        except CallError as error:
            raise ChildFailed(error) from None

    def _answer(self, status: SagaStatus) -> R:
        if status.failure is not None:
            raise revive(read(status.failure))
        result: R = decoder(self._steering.reply)((status.result or "null").encode())
        return result


def start_saga(
    method: Callable[P, Awaitable[R]], *arguments: P.args, **named: P.kwargs
) -> Coroutine[Any, Any, SagaHandle[R]]:
    """Start a saga and do not wait for it: `handle = await start_saga(trips.book, "IC 42", card="good")`.

    `method` is a client's whose operation is a saga, or a saga of the service itself. When this returns, the saga is
    stored. Under the same idempotency key it is the same saga, whether it was started so or called. In a saga's
    function this is a step, and so is what is asked by the handle.
    """
    steering = _steering(method)
    if (steps := CURRENT.get().steps) is None:
        return _start(steering, arguments, named)
    begin, request = partial(steering.begin, arguments, named), [arguments, named]
    step: Coroutine[Any, Any, SagaHandle[R]] = steps.start(
        f"{START}{steering.label}", begin, request, lambda saga_id: SagaHandle(saga_id, steering)
    )
    return step


async def _start(steering: Steering, arguments: tuple[Any, ...], named: dict[str, Any]) -> SagaHandle[Any]:
    return SagaHandle(await steering.begin(arguments, named), steering)


async def find_sagas(
    method: Callable[..., Awaitable[R]], /, *, limit: int = 100, **fields: object
) -> Sequence[SagaHandle[R]]:
    """Sagas of the service itself by fields that `@saga(search=[…])` declares: `await find_sagas(self.book, guest=42)`.

    The newest first, at most `limit`. Raises MisuseError for a field that the saga does not declare.
    """
    outside_of_sagas("find_sagas()", "a method of the service that uses it, and `await flow.step(…)`")
    steering = _steering(method)
    if not isinstance(steering, OwnSagas):
        raise MisuseError(
            f"find_sagas({getattr(method, '__qualname__', method)}): a service finds its own sagas; publish an "
            "operation that finds them and gives what callers may know"
        )
    return [SagaHandle(each, steering) for each in await steering.find(fields, limit)]


async def _awaited(call: Callable[[], Awaitable[R]]) -> R:
    return await call()


def _steering(method: Callable[..., Any]) -> Steering:
    owner = getattr(method, "__self__", None)
    definition = getattr(getattr(method, "__func__", None), SAGA_MARK, None)
    if isinstance(definition, Definition):
        return OwnSagas(owner, definition)
    door: Door | None = getattr(owner, DOOR, None)
    name = getattr(method, "__name__", "")
    if door is None and name in (known := getattr(owner, "__operations__", {})):
        raise MisuseError(
            f"{known[name].label} cannot be started without waiting from outside the system (by `connect`), or on a "
            "fake: call it under an idempotency key and ask again with the same one, or publish an operation that "
            "starts it and gives the handle's id"
        )
    if door is None or name not in door.operations:
        raise MisuseError(
            f"{getattr(method, '__qualname__', repr(method))} cannot be started as a saga: give a method of a client "
            "inside a running system, or a saga of the service itself"
        )
    return SagasElsewhere(door, door.operations[name], method)


class OwnSagas:
    """The sagas of the service whose code asks."""

    def __init__(self, instance: object, definition: Definition) -> None:
        self.reply = definition.returns
        self.label = definition.function.__qualname__
        self._instance = instance
        self._definition = definition

    async def begin(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
        engine = engine_of(self._instance, self._definition)
        return await engine.begin(self._definition, self._definition.values(self._instance, arguments, named))

    async def find(self, fields: Mapping[str, object], limit: int) -> Sequence[str]:
        return await engine_of(self._instance, self._definition).find(self._definition, fields, limit)

    async def look(self, saga_id: str, seconds: float) -> SagaStatus:
        engine = engine_of(self._instance, self._definition)
        await self._check(engine, saga_id)
        return status_of(self._definition, await engine.look(saga_id, seconds), lambda error: error)

    async def cancel(self, saga_id: str) -> None:
        engine = engine_of(self._instance, self._definition)
        await self._check(engine, saga_id)
        await engine.cancel(saga_id)

    async def signal(self, saga_id: str, name: str, body: str, key: str) -> None:
        engine = engine_of(self._instance, self._definition)
        await self._check(engine, saga_id)
        await engine.signal(saga_id, name, body, key)

    async def _check(self, engine: Engine, saga_id: str) -> None:
        """Refuse the id of another saga: its answer is another one, and it takes other signals."""
        if (name := (await engine.look(saga_id, 0.0)).name) != self._definition.name:
            raise another_saga(saga_id, name, self.label)


class SagasElsewhere:
    """The sagas behind an operation of another service, wherever it lives."""

    def __init__(self, door: Door, operation: Operation, method: Callable[..., Any]) -> None:
        self.reply = operation.reply
        self.label = operation.label
        self._service = door.service
        self._sagas: Callable[[], Sagas] = door.sagas
        self._operation = operation
        self._method = method

    async def begin(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
        operation = self._operation
        given = inspect.signature(self._method).bind(*arguments, **named).arguments
        request = operation.request(**given) if operation.spread else next(iter(given.values()))
        text, key = encoder(operation.request)(request).decode(), key_of(operation)
        return await self._sagas().begin(self._service, operation.path, text, key)

    async def look(self, saga_id: str, seconds: float) -> SagaStatus:
        return await self._sagas().look(self._service, saga_id, seconds, self._operation.path)

    async def cancel(self, saga_id: str) -> None:
        await self._sagas().cancel(self._service, saga_id, self._operation.path)

    async def signal(self, saga_id: str, name: str, body: str, key: str) -> None:
        await self._sagas().signal(self._service, saga_id, name, body, key, self._operation.path)


def another_saga(saga_id: str, name: str, label: str) -> CallError:
    """The refusal of an id that is of another saga than who asks for it takes it for."""
    text = f"{saga_id!r} is a saga {name}, and none of {label}: give SagaHandle.of the method that began it"
    return CallError(Code.NOT_FOUND, text, may_have_happened=False)


def status_of(definition: Definition, saga: SagaRow, permitted: Callable[[Exception], BaseException]) -> SagaStatus:
    """What who asks is told of a saga; its error as its caller may have it."""
    if saga.state is not SagaState.FAILED:
        return SagaStatus(state=saga.state, result=saga.result)
    try:
        answer_of(definition, saga)
    except Exception as error:  # it is what the saga came to
        told = permitted(error)
        if isinstance(told, CallError) and told is not error:
            told.private = True  # for who asked, and not for their callers
        return SagaStatus(state=saga.state, failure=write(describe(told)))
    raise RuntimeError(f"saga {saga.id} failed without an error")
