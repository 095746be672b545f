"""What a saga's function awaits: the call of another service, or a function of its own service, as a step."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from meristem.context import CURRENT, Context
from meristem.contracts.operation import Operation
from meristem.errors import MisuseError
from meristem.sagas.children import ChildCommand, ResultCommand, StartCommand
from meristem.sagas.commands import CallCommand, SagaCommand, Step, fingerprint, step_of, step_of_operation
from meristem.sagas.records import Kind

R = TypeVar("R")


class Issuer(Protocol):
    """What performs the commands of one saga."""

    def issue(self, command: SagaCommand) -> asyncio.Future[Any]:
        """Answer from the journal, or begin."""
        ...

    def left(self) -> None:
        """The running task of the function was cancelled while it waited for an answer."""
        ...

    def moved(self) -> None:
        """The function is at work on its last answer, so that the next one is not handed out yet."""
        ...

    def gathered(self, branches: Iterable[asyncio.Task[Any]]) -> None:
        """These branches have ended, and the function goes on."""
        ...

    def give_up(self, branches: tuple[str, ...]) -> list[asyncio.Future[Any]]:
        """Begin nothing more in branches with these prefixes; the futures of what must end first.

        What may have its effect is waited for. None of them gets its answer: each is cancelled when that is there.
        """
        ...


class Steps:
    """Makes the steps of one execution of a saga's function; `context` is what surrounds them."""

    def __init__(self, issuer: Issuer, context: Context) -> None:
        self.context = msgspec.structs.replace(context, steps=self)
        self._issuer = issuer
        self._future = asyncio.get_running_loop().create_future

    def operation(
        self, operation: Operation, call: Callable[[Any], Awaitable[Any]], request: Any
    ) -> Coroutine[Any, Any, Any]:
        """The step that a call of another service is."""
        step = step_of_operation(operation)
        values = msgspec.structs.astuple(request) if operation.spread else (request,)
        told = len(values)
        # Defaults at the end are left out, so that a parameter which is added with one later changes nothing.
        while told and values[told - 1] == operation.parameters[told - 1].default:
            told -= 1
        context = CURRENT.get()
        command = CallCommand(
            self._future(), step.kind, step.name, fingerprint(step.name, values[:told]), step.reply,
            step=step, method=call, arguments=(request,),
            context=context if context is self.context else self._checked(context),
            values=values, told=told,
        )  # fmt: skip
        return answer(self._issuer, command)

    def function(
        self, method: Callable[..., Awaitable[R]], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> Coroutine[Any, Any, R]:
        """The step that a function or a saga of the service itself is."""
        step = step_of(method)
        if hasattr(type(getattr(method, "__self__", None)), "__operations__"):
            raise MisuseError(
                f"{step.name} is an operation of another service: call it itself, `await ….{method.__name__}(…)`, "
                "which is a step; flow.step() is for what the service does itself"
            )
        request = fingerprint(step.name, [arguments, named] if named else arguments)
        call, context = partial(method, **named) if named else method, self._checked(CURRENT.get())
        if not step.is_saga:
            command = CallCommand(
                self._future(), step.kind, step.name, request, step.reply,
                step=step, method=call, arguments=arguments, context=context,
            )  # fmt: skip
            return answer(self._issuer, command)
        child = ChildCommand(
            self._future(), step.kind, step.name, request, step.reply,
            step=step, method=call, arguments=arguments, context=context, run_saga=call,
        )  # fmt: skip
        child.method = child.run
        return answer(self._issuer, child)

    def start(
        self, name: str, call: Callable[[], Awaitable[str]], request: Any, made: Callable[[str], R]
    ) -> Coroutine[Any, Any, R]:
        """The step that starts a saga which is left to itself; gives what is made of its id."""
        step = Step(Kind.CALL, name, str, direct=True, lasting=True)
        command = StartCommand(
            self._future(), step.kind, name, fingerprint(name, request), str,
            step=step, method=call, arguments=(), context=self._checked(CURRENT.get()), made=made,
        )  # fmt: skip
        return answer(self._issuer, command)

    def ask(
        self, name: str, call: Callable[[], Awaitable[R]], request: Any, reply: Any, *, lasts: bool
    ) -> Coroutine[Any, Any, R]:
        """The step that asks such a saga; one that `lasts` waits for its end."""
        step = Step(Kind.CALL, name, reply, direct=True, lasting=lasts)
        taken, context = fingerprint(name, request), self._checked(CURRENT.get())
        command = CallCommand(
            self._future(), step.kind, name, taken, reply, step=step, method=call, arguments=(), context=context
        )
        if lasts:
            command = result = ResultCommand(
                self._future(), step.kind, name, taken, reply,
                step=step, method=call, arguments=(), context=context, wait=call,
            )  # fmt: skip
            result.method = result.run
        return answer(self._issuer, command)

    def _checked(self, context: Context) -> Context:
        """The context that a step is made in: the saga's, or with the user and the travelling values set around it."""
        if context.key != self.context.key or context.deadline is not None:
            raise MisuseError(
                "a saga's step has a key of its own, and ends when it ends: around a step, using() can change the "
                "user, and values that travel. Limit an operation by its timeout=, and give what tells requests apart "
                "as an argument"
            )
        return context


async def answer(issuer: Issuer, command: SagaCommand) -> Any:
    """Have a command performed, now that it is awaited, and wait for its answer."""
    try:
        return await issuer.issue(command)
    except asyncio.CancelledError:
        issuer.left()
        raise


def with_undo(call: Awaitable[R], undo: Callable[[R], Awaitable[object]]) -> Coroutine[Any, Any, R]:
    """The same step, which is taken back by `undo`; raises MisuseError for what is no step, or has begun."""
    if inspect.iscoroutine(call):
        # A step is a coroutine as that of any other call, and its command the argument that this one was made with.
        if call.cr_code is answer.__code__ and inspect.getcoroutinestate(call) == inspect.CORO_CREATED:
            command: CallCommand = inspect.getcoroutinelocals(call)["command"]
            if command.undo is None:
                command.undo = undo
                return call
        call.close()
    raise MisuseError(
        "flow.with_undo() takes a step that has not begun and has no undo yet: the call of another service, as in "
        "`await flow.with_undo(self.bank.charge(card), self.bank.refund)`, or flow.step(…)"
    )
