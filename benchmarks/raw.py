"""A client of HTTP/1.1 that does as little as a client can: what is measured with it is the server.

    python -m benchmarks.raw PORT --paths '{"echo": "/echo"}' --works '[["echo", 64]]' --seconds 1 --server PID

Each call has a connection for itself. Of an answer only its status and its length are read; the very first of each
kind is compared with what it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from benchmarks.load import measure
from benchmarks.peers.quotes import QUERY, QUOTE, ROWS

ASKED: dict[str, Any] = {"echo": QUOTE, "list": QUERY}
EXPECTED: dict[str, Any] = {"echo": QUOTE, "list": {"items": ROWS}}
LENGTH = b"\r\ncontent-length: "


class Connection(asyncio.Protocol):
    """One request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] | None = None
        self.read = b""
        self.end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionError("the server closed the connection"))

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """Send a request; the future gives the body of its answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        if self.read:
            data = self.read + data
        if not self.end and (at := data.find(b"\r\n\r\n")) >= 0:
            head = data[: at + 2].lower()
            length = head.index(LENGTH) + len(LENGTH)
            self.end = at + 4 + int(head[length : head.index(b"\r", length)])
        if not self.end or len(data) < self.end:
            self.read = data
            return
        body, good = data[data.index(b"\r\n\r\n") + 4 :], data.startswith(b"HTTP/1.1 2")
        self.read, self.end = b"", 0
        answer, self.answer = self.answer, None
        if answer is not None and good:
            answer.set_result(body)
        elif answer is not None:
            answer.set_exception(ValueError(data[:300].decode("latin-1")))


def request_of(port: int, path: str, bearer: str | None, message: Any) -> bytes:
    """A request as bytes, with the fields that curl sends."""
    body = json.dumps(message, separators=(",", ":")).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: 127.0.0.1:{port}",
        "user-agent: raw/1",
        "accept: */*",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    if bearer is not None:
        lines.append(f"authorization: Bearer {bearer}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def checked(idle: list[Connection], work: str, request: bytes) -> Callable[[], Awaitable[bytes]]:
    """The call for one kind of work; raises ValueError when its first answer is not the right one."""

    async def call() -> bytes:
        connection = idle.pop()
        body = await connection.ask(request)
        idle.append(connection)
        return body

    if json.loads(found := await call()) != EXPECTED[work]:
        raise ValueError(f"{work} was answered {found[:200]!r}")
    return call


async def load(given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Put load on the server, from this process."""
    works = [(name, in_flight) for name, in_flight in json.loads(given.works)]
    loop = asyncio.get_running_loop()
    idle: list[Connection] = []
    for _ in range(max(in_flight for _, in_flight in works)):
        _, connection = await loop.create_connection(Connection, "127.0.0.1", given.port)
        idle.append(connection)
    calls = {}
    for work, path in json.loads(given.paths).items():
        calls[work] = await checked(idle, work, request_of(given.port, path, given.bearer, ASKED[work]))
    found = await measure(calls, works, given.seconds, given.server)
    for each in idle:
        each.transport.abort()
    return found


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--paths", required=True)
    parser.add_argument("--bearer")
    parser.add_argument("--works", default='[["echo", 64]]')
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--server", type=int, default=0)
    print(json.dumps(uvloop.run(load(parser.parse_args()))))


if __name__ == "__main__":
    main()
