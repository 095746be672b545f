"""The caller's end of a call: its context is the caller's service, the user, and an idempotency key."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.context import CURRENT, Context
from meristem.contracts.call import Call
from meristem.contracts.operation import Semantics
from meristem.errors import CallError, MisuseError
from meristem.log_positions import KEPT, Positions
from meristem.services.client import Entry
from meristem.telemetry.metrics import MadeCalls
from meristem.telemetry.streams import EndingStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meristem.contracts.call import Handler, Middleware
    from meristem.contracts.operation import Operation


# The rest of a method is for calls that are made elsewhere, and for the step when it is performed.
_STEP: Final = "if {steps} is not None: return {steps}.operation(__operation, __enter, {{request}})"


def entry(
    operation: Operation,
    handler: Handler,
    caller: str | None,
    transaction_is_open: Callable[[], bool] | None,
    *,
    made: MadeCalls | None = None,
    follows: bool = False,
) -> Entry:
    """What a client's method does with the request: builds the call, counts it in `made` and hands it to `handler`.

    It raises MisuseError when a database transaction is open: it would hold its locks while another service works.
    Where there is no database, `transaction_is_open` is None. `follows` says that what callers write is followed.
    """
    made = made or MadeCalls(caller or "", "", operation.label)
    if operation.semantics is Semantics.SAFE and not operation.lasts:
        return _safe_entry(operation, handler, caller, transaction_is_open, made, follows=follows)
    surround = _surroundings(operation, caller, transaction_is_open, follows=follows)

    def enter(request: Any) -> Any:
        made.calls += 1
        call = Call(operation, request, surround())
        keys = CURRENT.get().keys
        return handler(call) if keys is None else keys.lead(handler, call)

    def enter_stream(request: Any) -> Any:
        made.calls += 1
        return _stream(handler, Call(operation, request, surround()), transaction_is_open)

    lines = ("__steps = __current().steps", _STEP.format(steps="__steps"), "return __enter({request})")
    return Entry(
        lines,
        {"__current": CURRENT.get, "__operation": operation, "__enter": enter_stream if operation.stream else enter},
    )


def key_of(operation: Operation) -> str:
    """The idempotency key under which a call of an operation goes out now."""
    outer = CURRENT.get()
    if outer.keys is not None:
        # Derived, not drawn: when the caller is repeated, this call is known as the one that was made before.
        return outer.keys.derive(operation.path, None if outer.user is None else outer.user.asker)
    # Drawn once here, outside of the retries: all attempts of this call share it.
    return os.urandom(16).hex() if outer.key is None else outer.key  # an empty one is refused, not replaced


def receiving(operation: Operation) -> Middleware:
    """Mark what calls to services elsewhere raise as private: it has reached the caller for which its text was.

    What services of this process raise comes marked (`services/inbound.py`): a layer more would cost a tenth of a call.
    """
    return _marking(operation, lambda _: True)


def forwarding(operation: Operation) -> Middleware:
    """Mark as private what the way to a service raises, where its answers are handed on: it tells of addresses."""
    return _marking(operation, lambda error: error.private or not error.answered)


def _marking(operation: Operation, is_private: Callable[[CallError], bool]) -> Middleware:
    def mark(error: BaseException | None) -> None:
        if isinstance(error, CallError):
            error.private = is_private(error)

    def around(handler: Handler) -> Handler:
        async def marked(call: Call) -> Any:
            try:
                reply = await handler(call)
            except CallError as error:
                mark(error)
                raise
            return EndingStream(reply, mark) if operation.stream else reply

        return marked

    return around


def _safe_entry(
    operation: Operation,
    handler: Handler,
    caller: str | None,
    transaction_is_open: Callable[[], bool] | None,
    made: MadeCalls,
    *,
    follows: bool,
) -> Entry:
    """The commonest kind of call has no key, and all of its beginning stands in the client's method.

    That of `@safe async def quote(self, q: Ask) -> Offer` is:

        def quote(self, q):
            if __transaction_is_open(): raise __holds_locks(__operation)
            __outer = __current()
            if __outer.steps is not None: return __outer.steps.operation(__operation, __enter, q)
            __made.calls += 1
            __context = __Context(__outer.deadline, __outer.trace, __caller, __outer.user, __outer.baggage)
            return __handler(__Call(__operation, q, __context))
    """
    lines = [
        "__outer = __current()",
        _STEP.format(steps="__outer.steps"),
        "__made.calls += 1",
        "__context = __Context(__outer.deadline, __outer.trace, __caller, __outer.user, __outer.baggage)",
        "return __handler(__Call(__operation, {request}, __context))",
    ]
    if transaction_is_open is not None:
        lines.insert(0, "if __transaction_is_open(): raise __holds_locks(__operation)")

    def enter(request: Any) -> Any:
        made.calls += 1
        outer = CURRENT.get()
        context = Context(outer.deadline, outer.trace, caller, outer.user, outer.baggage)
        if follows:
            context.positions = followed(outer)
        return handler(Call(operation, request, context))

    if follows:
        lines.insert(-1, "__context.positions = __followed(__outer)")
    names = {
        "__followed": followed,
        "__enter": enter,
        "__made": made,
        "__transaction_is_open": transaction_is_open,
        "__holds_locks": _holds_locks,
        "__current": CURRENT.get,
        "__Call": Call,
        "__Context": Context,
        "__operation": operation,
        "__handler": handler,
        "__caller": caller,
    }
    return Entry(tuple(lines), names)


def followed(outer: Context) -> Positions:
    """What follows the caller whose context is the current one: outside of any call, a task is one caller."""
    positions = outer.positions
    now = monotonic()
    if positions is not None and now < positions.ends:
        return positions
    positions = Positions(now + KEPT)
    CURRENT.set(msgspec.structs.replace(outer, positions=positions))
    return positions


def _surroundings(
    operation: Operation,
    caller: str | None,
    transaction_is_open: Callable[[], bool] | None,
    *,
    follows: bool,
) -> Callable[[], Context]:
    effect = operation.semantics is not Semantics.SAFE
    needs_key = operation.semantics is Semantics.ONCE

    def surround() -> Context:
        if transaction_is_open is not None and transaction_is_open():
            raise _holds_locks(operation)
        outer = CURRENT.get()
        if not effect:
            return Context(outer.deadline, outer.trace, caller, outer.user, outer.baggage)
        key = key_of(operation) if needs_key or outer.keys is not None else outer.key
        return Context(outer.deadline, outer.trace, caller, outer.user, outer.baggage, key)

    def follow() -> Context:
        context = surround()
        context.positions = followed(CURRENT.get())
        return context

    return follow if follows else surround


def _holds_locks(operation: Operation) -> MisuseError:
    return MisuseError(
        f"{operation.label} is called inside an open database transaction, which would hold its locks while "
        f"another service works: call before the first statement, or after the block of database.begin()"
    )


async def _stream(handler: Handler, call: Call, transaction_is_open: Callable[[], bool] | None) -> AsyncIterator[Any]:
    if transaction_is_open is not None and transaction_is_open():  # it may have begun since the call was made
        raise _holds_locks(call.operation)
    keys = CURRENT.get().keys
    items = await (handler(call) if keys is None else keys.lead(handler, call))
    try:
        async for item in items:
            yield item
    finally:
        await items.aclose()
