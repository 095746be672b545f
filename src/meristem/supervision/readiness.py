"""Asks a process whether it is ready, or for its figures, by a connection or by one small HTTP request."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE: Final = 2.0  # seconds for an answer
END_OF_HEAD: Final = b"\r\n\r\n"


class ToldState(msgspec.Struct):
    """The state of a process, and what is wrong with what lives in it though that answers."""

    status: str
    problems: tuple[str, ...] = ()


async def answers(address: str, path: str) -> bool:
    """Whether `GET path` at `unix:/path.sock` or `tcp://host:port` is answered with 2xx."""
    try:
        async with asyncio.timeout(PATIENCE):
            async with _asked(address, path) as reader:
                return _is_well(await reader.readline())
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):  # no listener yet, or no HTTP
        return False


async def accepts(address: str) -> bool:
    """Whether somebody takes connections at `unix:/path.sock` or `tcp://host:port`."""
    try:
        async with asyncio.timeout(PATIENCE), _connected(address):
            return True
    except OSError:  # TimeoutError is one
        return False


async def told(address: str) -> ToldState:
    """What a process says at `/health/ready`; raises OSError when it says nothing in time."""
    try:
        async with asyncio.timeout(PATIENCE), _asked(address, "/health/ready") as reader:
            return msgspec.json.decode((await reader.read()).partition(END_OF_HEAD)[2], type=ToldState)
    except TimeoutError:
        raise TimeoutError(f"it does not answer within {PATIENCE:g} s") from None
    except (ValueError, msgspec.MsgspecError):
        raise ConnectionError("it does not say how it fares") from None


async def fetched(address: str, path: str, *, accept: str = "*/*") -> str:
    """The body of what is answered to `GET path` with 2xx; raises OSError for anything else."""
    async with asyncio.timeout(2 * PATIENCE), _asked(address, path, accept) as reader:
        status = await reader.readline()
        if not _is_well(status):
            raise ConnectionError(f"{address} answers {status.decode('latin-1').strip() or 'nothing'} to {path}")
        return (await reader.read()).partition(END_OF_HEAD)[2].decode()


def _is_well(status: bytes) -> bool:
    return status.startswith(b"HTTP/1.") and status[9:10] == b"2"


@contextlib.asynccontextmanager
async def _asked(address: str, path: str, accept: str = "*/*") -> AsyncIterator[asyncio.StreamReader]:
    async with _connected(address) as (reader, writer):
        head = f"GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode())
        yield reader


@contextlib.asynccontextmanager
async def _connected(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
