"""The replies of a stream, whose end is seen to."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

T = TypeVar("T")


@asynccontextmanager
async def closing(replies: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T], None]:
    """As `contextlib.aclosing`, also for an iterator that can't be closed."""
    try:
        yield replies
    finally:
        if (close := getattr(replies, "aclose", None)) is not None:
            await close()
