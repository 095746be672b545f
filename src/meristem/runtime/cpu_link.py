"""What a process and its CPU workers say to each other: pickled messages over a socket that no one else has."""

from __future__ import annotations

import io
import pickle
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meristem.config.secret import Secret

if TYPE_CHECKING:
    import asyncio
    import socket

HEAD: Final = struct.Struct(">cQ")  # what it is, and how many bytes follow
TOLD: Final = b"S"  # to a worker
TAKEN: Final = b"T"
DONE: Final = b"D"
FAILED: Final = b"F"
LOGGED: Final = b"L"


class Recipe(NamedTuple):
    """How a worker builds a service: where its class is, its settings by class, and the least level of its logs."""

    module: str
    qualname: str
    settings: dict[type, Any]
    level: int


class Task(NamedTuple):
    """A method to run: its name, its arguments, and the fields of the context that surrounds it."""

    method: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    context: dict[str, Any]


class WorkerTraceback(Exception):
    """Where in a worker an error was raised: its traceback as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def packed(value: Any, kind: bytes = TOLD) -> bytes:
    """A message as bytes."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(kind, len(data)) + data


def packed_recipe(recipe: Recipe) -> bytes:
    """A recipe as bytes, with the secrets of its settings, which nothing else that goes over the link may hold."""
    written = io.BytesIO()
    _Revealing(written, pickle.HIGHEST_PROTOCOL).dump(recipe)
    return HEAD.pack(TOLD, written.tell()) + written.getvalue()


class _Revealing(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        return (Secret, (value.reveal(),)) if isinstance(value, Secret) else NotImplemented


def unpacked(data: bytes) -> Any:
    """The value of a message; raises whatever its classes raise where they can't be made again."""
    return pickle.loads(data)  # noqa: S301 - this process, its parent or its child wrote it


async def receive(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """What the next message is, and its bytes; raises IncompleteReadError where the other end has gone."""
    kind, size = HEAD.unpack(await reader.readexactly(HEAD.size))
    return kind, await reader.readexactly(size)


def receive_now(link: socket.socket) -> bytes:
    """The bytes of the next message, waited for by this thread; raises EOFError where the other end has gone."""
    _, size = HEAD.unpack(_exactly(link, HEAD.size))
    return _exactly(link, size)


def _exactly(link: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = link.recv(min(size - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
