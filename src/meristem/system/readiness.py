"""Asks a process whether it is ready, by one small HTTP request."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

PATIENCE: Final = 2.0  # seconds for an answer


async def answers(address: str, path: str) -> bool:
    """Whether `GET path` at `unix:/path.sock` or `tcp://host:port` is answered with 2xx."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await _ask(address, path)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):  # nobody there yet, or no HTTP
        return False


async def _ask(address: str, path: str) -> bool:
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        status = await reader.readline()
        return status.startswith(b"HTTP/1.") and status[9:10] == b"2"
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
