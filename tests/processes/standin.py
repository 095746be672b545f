"""A small process that behaves like one of a system: it listens, gets ready, answers and drains.

It is called with its process, its replica and its listening address; files in its folder tell it how to misbehave.
"""

import asyncio
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

from meristem.supervision.heartbeat import heartbeat
from meristem.supervision.lifeline import GRACE, hold

TURNS = 10
DRAIN = 1.0 if Path("brief").exists() else GRACE  # seconds that an orphan has
LABEL = f"{sys.argv[1]}-{sys.argv[2]}"


def says(what: str) -> bool:
    return Path(f"{LABEL}.{what}").exists()


class StandIn:
    def __init__(self) -> None:
        self.in_flight = 0
        self.quiet = asyncio.Event()
        self.quiet.set()
        self.released = asyncio.Event()
        self.let_go = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.in_flight += 1
        self.quiet.clear()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            status, body = await self.answer(path)
            answer = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
            writer.write(answer.encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.in_flight -= 1
            if not self.in_flight:
                self.quiet.set()

    async def answer(self, path: str) -> tuple[str, str]:
        if path == "/health/ready":
            slow = says("slow")
            return "503 No" if slow else "200 OK", '{"status": "%s"}' % ("starting" if slow else "ready")
        if path == "/hold":
            print("holding", flush=True)
            await self.released.wait()
        if path == "/hang":
            time.sleep(1000)  # noqa: ASYNC251 - that is what it stands in for
        if path == "/spin":
            print("held", flush=True)
            while True:
                pass
        if path == "/grip":  # no thread of this process runs any more
            print("held", flush=True)
            re.match(r"(a+)+$", "a" * 100 + "b")
        if path == "/leak":
            held = []
            while True:
                held.append(b"x" * (4 << 20))
                await asyncio.sleep(0.01)
        if path == "/keep":  # also while it drains
            print("keeping", flush=True)
            await self.let_go.wait()
        return "200 OK", f"{os.getpid()} {os.environ.get('MERISTEM_INSTANCE')}"


async def beat() -> None:
    tell = heartbeat(os.environ)
    while True:
        tell()
        await asyncio.sleep(0.1)


async def main() -> None:
    hold(os.environ, grace=DRAIN)
    beating = asyncio.create_task(beat())
    print(f"began {os.getpid()}", flush=True)
    if says("wrong"):
        print("error: the setting url is missing", file=sys.stderr)
        sys.exit(1)
    if says("crash"):
        sys.exit(7)
    stand_in = StandIn()
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asked.set)
    loop.add_signal_handler(signal.SIGUSR1, stand_in.let_go.set)
    own = socket.socket(fileno=int(sys.argv[3].removeprefix("fd:")))
    servers = [await asyncio.start_unix_server(stand_in.serve, sock=own)]
    if "MERISTEM_PUBLIC_FD" in os.environ:
        inherited = socket.socket(fileno=int(os.environ["MERISTEM_PUBLIC_FD"]))
        servers.append(await asyncio.start_server(stand_in.serve, sock=inherited))
    await asked.wait()
    print("draining", flush=True)
    for server in servers:
        server.close()
    stand_in.released.set()
    for _ in range(TURNS):  # who has connected already is taken in before it is asked whether anybody is there
        await asyncio.sleep(0)
    await stand_in.quiet.wait()
    print("drained", flush=True)
    beating.cancel()


asyncio.run(main())
