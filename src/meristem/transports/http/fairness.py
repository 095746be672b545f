"""Streams that let others run: a reply stream gives way now and then, and its end is seen to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

T = TypeVar("T")
BURST: Final = 32


async def fairly(replies: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The replies of a stream; one that never waits still lets others run, and its end is seen to.

    Use with `contextlib.aclosing`.
    """
    count = 0
    try:
        async for reply in replies:
            yield reply
            count += 1
            if count % BURST == 0:
                await asyncio.sleep(0)
    finally:
        if (close := getattr(replies, "aclose", None)) is not None:
            await close()
