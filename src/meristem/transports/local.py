"""The way to a service in the same process: only the wire disappears."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from meristem.contracts.isolation import Isolation, isolator
from meristem.contracts.items import Items, broken_off
from meristem.contracts.undeclared import internal
from meristem.errors import CallError
from meristem.variables import END, awaited, is_cancelled, within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from meristem.contracts.call import Call, Handler
    from meristem.contracts.operation import Operation

logger = logging.getLogger(__name__)


def isolation_of(operation: Operation) -> Isolation:
    """Checks and separates an operation's request and reply, or each of a stream, as a wire would."""
    return Isolation(isolator(operation.request, _refused), isolator(operation.reply, partial(_wrong_reply, operation)))


def _refused(error: CallError) -> CallError:
    error.private = True  # it has reached the caller for which its text was
    return error


def _wrong_reply(operation: Operation, error: CallError) -> CallError:
    logger.error("%s returned what its contract does not allow: %s", operation.label, error.message)
    return _refused(internal(operation.label))


def local_stream(operation: Operation, handler: Handler) -> Handler:
    """Call the `handler` of an operation with a stream in this process; each value is checked and separated."""
    admit, separate = isolation_of(operation)

    async def call_here(call: Call) -> Any:
        if operation.takes_stream:
            return await _answered(call, LocalItems(operation, call.request, admit))
        call.request = admit(call.request)
        return _replies(await handler(call), separate)

    async def _answered(call: Call, items: LocalItems) -> Any:
        call.request = items
        try:
            reply = await handler(call)
            if operation.stream:
                return _replies(reply, separate, items)
        except BaseException:
            await items.aclose()
            if items.failure is None:
                raise
        else:
            await items.aclose()
            if items.failure is None:
                return separate(reply)
        raise items.failure

    return call_here


async def _replies(
    replies: AsyncGenerator[Any, None], separate: Callable[[Any], Any], items: LocalItems | None = None
) -> AsyncGenerator[Any, None]:
    try:
        async for reply in replies:
            yield separate(reply)
    except Exception:
        if items is None or items.failure is None:
            raise
    finally:
        await replies.aclose()
        if items is not None:
            await items.aclose()
    if items is not None and items.failure is not None:
        raise items.failure


class LocalItems(Items):
    """The items of a caller in this process: made in its variables, checked and separated.

    `failure` is what the caller's iterator raised: for the caller itself, while the callee sees that they broke off.
    """

    def __init__(self, operation: Operation, items: Items, admit: Callable[[Any], Any]) -> None:
        super().__init__(items)
        self.failure: BaseException | None = None
        self._refusal: CallError | None = None
        self._label = operation.label
        self._admit = admit
        # A copy, as a task that sends them to another process has: nothing of the callee's is seen in there.
        self._variables = copy_context()
        self._is_waiting = self._is_closed = False

    async def take(self) -> Any:
        if self._is_closed or self.failure is not None:
            raise broken_off(self._label)
        if self._refusal is not None:
            raise self._refusal
        self._is_waiting = True
        try:
            item = await within(self._variables, awaited(anext(self._items, END)))
        except (Exception, CancelledError) as error:
            if is_cancelled(error):
                raise
            self.failure = error
        finally:
            self._is_waiting = False
            if self._is_closed:
                await super().aclose()
        if self.failure is not None:
            raise broken_off(self._label)
        if item is END:
            raise StopAsyncIteration
        try:
            return self._admit(item)
        except CallError as error:
            self._refusal = error
            raise

    async def aclose(self) -> None:
        self._is_closed = True
        if not self._is_waiting:  # else a task that the callee left behind waits for an item, which is the last
            await within(self._variables, awaited(super().aclose()))
