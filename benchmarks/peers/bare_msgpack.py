"""The limit: length-prefixed msgpack, multiplexed over one connection, with nothing around it.

No deadline, no context, no size limit, no errors, no foreign client: what is left when everything is taken away.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import Any

import msgspec

PREFIX = struct.Struct("<IIH")  # length of the body, number of the request, method
EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Frames(asyncio.Protocol):
    """Cuts the stream into frames; frames written in one turn of the loop leave in one write."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rest = b""
        self.unsent: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        at, size = 0, len(data)
        while size - at >= PREFIX.size:
            length, number, method = PREFIX.unpack_from(data, at)
            end = at + PREFIX.size + length
            if end > size:
                break
            self.frame(number, method, data[at + PREFIX.size : end])
            at = end
        self.rest = data[at:]

    def send(self, number: int, method: int, body: bytes) -> None:
        if not self.unsent:
            self.loop.call_soon(self.flush)
        self.unsent.append(PREFIX.pack(len(body), number, method))
        self.unsent.append(body)

    def flush(self) -> None:
        out, self.unsent = self.unsent, []
        self.transport.write(b"".join(out))

    def frame(self, number: int, method: int, body: bytes) -> None:
        raise NotImplementedError


class Server(Frames):
    """Answers frames; `methods` are decoder, async function and encoder."""

    def __init__(self, methods: list[Any]) -> None:
        super().__init__()
        self.methods = methods

    def frame(self, number: int, method: int, body: bytes) -> None:
        asyncio.Task(self.answer(number, method, body), loop=self.loop, **EAGER)

    async def answer(self, number: int, method: int, body: bytes) -> None:
        decode, function, encode = self.methods[method]
        self.send(number, 0, encode(await function(decode(body))))


class Client(Frames):
    """Calls methods by their number."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self.number = 0

    def call(self, method: int, body: bytes) -> asyncio.Future[bytes]:
        self.number = number = (self.number + 1) & 0xFFFFFFFF
        self.send(number, method, body)
        future = self.waiting[number] = self.loop.create_future()
        return future

    def frame(self, number: int, _method: int, body: bytes) -> None:
        self.waiting.pop(number).set_result(body)


async def serve(path: str, methods: list[tuple[type, Any]]) -> None:
    """Serve functions of messages on a Unix socket until cancelled."""
    encode = msgspec.msgpack.Encoder().encode
    served = [(msgspec.msgpack.Decoder(type_).decode, function, encode) for type_, function in methods]
    server = await asyncio.get_running_loop().create_unix_server(lambda: Server(served), path)
    await server.serve_forever()


async def connect(path: str) -> Client:
    """A client of the server at a Unix socket."""
    _, client = await asyncio.get_running_loop().create_unix_connection(Client, path)
    return client
