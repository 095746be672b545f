"""Callers of the parity suite that give up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest


async def give_up(call: asyncio.Task[Any]) -> None:
    """Cancel a call, and wait until it has ended by that."""
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def leave_in_the_midst(stream: AsyncIterator[Any]) -> None:
    """Be cancelled while a stream is read."""
    began = asyncio.Event()

    async def consume() -> None:
        async for _ in stream:
            began.set()

    reading = asyncio.create_task(consume())
    await began.wait()
    await give_up(reading)
