"""The items of a request that is a stream: from the caller's iterator to the callee's method, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from meristem.errors import CallError, Code, MisuseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meristem.contracts.operation import Operation


class Items:
    """Items on their way, each of them an instance of `operation.request`.

    What stands between caller and callee is another of these around the one before. `begun` says that an item was
    asked for: what the caller's iterator has given is gone, so the call can't be sent again.
    """

    def __init__(self, items: AsyncIterator[Any]) -> None:
        self.begun = False
        self._items = items

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        self.begun = True
        return await self.take()

    async def take(self) -> Any:
        """The next item; raises StopAsyncIteration behind the last one."""
        return await anext(self._items)

    async def aclose(self) -> None:
        """Take no more of them, and let who makes them clean up; of what was not begun another attempt may take all."""
        close = getattr(self._items, "aclose", None)
        if self.begun and close is not None:
            await close()


class IncomingItems(Items):
    """Items that come by a wire; what comes after one that can't be read is not looked at."""

    def __init__(self) -> None:
        self.begun = False
        self._refusal: CallError | None = None

    async def take(self) -> Any:
        if self._refusal is not None:
            raise self._refusal
        try:
            return await self.read()
        except CallError as error:
            self._refusal = error
            raise

    async def read(self) -> Any:
        """The next item off the wire; raises StopAsyncIteration behind the last, CallError for what is none."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """What is not taken is dropped with the call."""


class GivenItems(Items):
    """What a caller gave as the argument of an operation: each value becomes a message."""

    def __init__(self, operation: Operation, items: AsyncIterator[Any]) -> None:
        if not hasattr(items, "__anext__"):
            name = operation.parameters[0].name
            raise MisuseError(
                f"{operation.label}: {name} is a stream: give an async iterator, such as what an `async def` with "
                f"`yield` returns, and not {type(items).__name__}"
            )
        super().__init__(items)
        self._field = operation.parameters[0].name
        self._message = operation.request if operation.spread else None

    async def take(self) -> Any:
        item = await anext(self._items)
        return item if self._message is None else self._message(**{self._field: item})


class TakenItems(Items):
    """What a method is given as its argument: each message becomes a value."""

    def __init__(self, operation: Operation, items: AsyncIterator[Any]) -> None:
        super().__init__(items)
        self._field = operation.parameters[0].name if operation.spread else None

    async def take(self) -> Any:
        message = await anext(self._items)
        return message if self._field is None else getattr(message, self._field)


def broken_off(label: str) -> CallError:
    """What a callee meets in place of the next item where its caller failed to make it."""
    return CallError(Code.CANCELED, f"{label}: the caller's stream of items broke off")
