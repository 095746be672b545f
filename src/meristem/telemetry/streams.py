"""A stream that tells when it is over, so that it can be counted and traced as one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class EndingStream:
    """Passes items on and calls `ended` once: with the error that ended it, or None."""

    def __init__(self, items: AsyncIterator[Any], ended: Callable[[BaseException | None], None]) -> None:
        self._items = items
        self._ended: Callable[[BaseException | None], None] | None = ended

    def __aiter__(self) -> EndingStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._items)
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise

    async def aclose(self) -> None:
        """End the stream early: its consumer has what it wanted."""
        self._end(None)
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()

    def _end(self, error: BaseException | None) -> None:
        # Once: a consumer may close a stream that has ended by itself.
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(error)
