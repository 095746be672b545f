"""How far one request walks through the code: Python calls, the files they are in, and the moves between files.

    python -m benchmarks.walks [--json] [--show "REST GET"]

Only what runs on the event loop of the process that answers is counted; clients, and the service that a saga calls,
run on threads of their own. A call counts each time Python enters a function of the framework or of the bench's
services, so a coroutine counts again whenever it is resumed. A move is a call in another file than the call before.
The figures of a room are those of its calls alone, with the bench's own functions. No request is in a trace, as most
are not under load.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, Protocol

import uvloop
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, select

import meristem
from meristem import Contract, Database, Event, Flow, Identity, Message, Service, System, on, once, safe, saga
from meristem.discovery.static import StaticResolver
from meristem.runtime.assembly import Assembly
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import Telemetry

HOUSE: Final = f"{Path(meristem.__file__).parent}/"
WRITTEN: Final = ("<client of", "<isolator of", "<REST ")  # names of code that the framework writes at run time
COUNT: Final = 30  # requests of each kind
SEVERAL: Final = 3  # of them that took the same way: on a busy machine, timers make most of them longer
SECRET: Final = b"of the walks alone" + bytes(range(14))
TOKEN: Final = "letmein"
TABLES: Final = MetaData()
GUESTS: Final = Table("guest", TABLES, Column("id", Integer, primary_key=True), Column("name", String(20)))
BY_ID: Final = select(GUESTS).where(GUESTS.c.id == bindparam("key"))


class Quote(Message):
    hotel_id: int
    city: str
    nights: int
    price: float


class Booked(Event, package="bench.walks.v1", key="city"):
    city: str


class Quotes(Contract, Protocol, package="bench.walks.v1"):
    @safe(http="GET /quotes/{hotel_id}")
    async def cheapest(self, hotel_id: int) -> Quote: ...


class Rooms(Contract, Protocol, package="bench.walks.v1"):
    @once
    async def hold(self, quote: Quote) -> Quote: ...


QUOTE: Final = Quote(hotel_id=1, city="Reykjavik", nights=3, price=219.75)
QUOTES: Final = {QUOTE.hotel_id: QUOTE}


class QuotesService(Quotes, Service):
    async def cheapest(self, hotel_id: int) -> Quote:
        return QUOTES[hotel_id]


class RoomsService(Rooms, Service):
    async def hold(self, quote: Quote) -> Quote:
        return quote


class DeskService(Service, tables=TABLES):
    def __init__(self, quotes: Quotes, rooms: Rooms, database: Database) -> None:
        self.quotes = quotes
        self.rooms = rooms
        self.database = database

    @saga
    async def book(self, _: Flow, times: int) -> None:
        for _ in range(times):
            await self.rooms.hold(QUOTE)
            RECORDING.cut()

    @on(Booked)
    async def count(self, event: Booked) -> None: ...


async def authenticate(token: str) -> Identity | None:
    return Identity("42", "Ada") if token == TOKEN else None


system: Final = System("walks", services=[QuotesService, RoomsService, DeskService], authenticate=authenticate)
PLACEMENT: Final = Placement(
    processes={"caller": (), "desk": ("desk", "quotes"), "rooms": ("rooms",)},
    telemetry=Telemetry(traces_per_second=0, access_log=False),
)


class Recording:
    """What Python enters on one thread, in pieces that begin and end at a `cut`."""

    def __init__(self) -> None:
        self._entered: list[CodeType] = []
        self._cuts: list[int] = []
        self._cut_at = ""

    def cut(self) -> None:
        """One walk ends here, and the next begins."""
        self._cuts.append(len(self._entered))

    def drop(self) -> None:
        """Forget what ran since the last cut."""
        del self._entered[self._cuts[-1] if self._cuts else 0 :]

    @contextmanager
    def running(self, *, cut_at: str = "") -> Iterator[None]:
        """Record; with `cut_at`, cut wherever a function of this name is entered."""
        self._entered, self._cuts, self._cut_at = [], [], cut_at
        sys.setprofile(self._saw)
        try:
            yield
        finally:
            sys.setprofile(None)

    def walk(self) -> list[CodeType]:
        """The shortest walk that several requests took: what came by the clock meanwhile is in the others."""
        pieces = [self._entered[begin:end] for begin, end in pairwise(self._cuts)]
        walks = [tuple(code for code in piece if _counts(code)) for piece in pieces]
        taken = Counter(walk for walk in walks[len(walks) // 3 :] if walk)
        return list(min(taken, key=lambda walk: (taken[walk] < SEVERAL, len(walk))))

    def _saw(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            if frame.f_code.co_qualname == self._cut_at:
                self.cut()
            self._entered.append(frame.f_code)


def _counts(code: CodeType) -> bool:
    if code.co_filename == __file__:
        return "Service." in code.co_qualname
    return code.co_filename.startswith((HOUSE, *WRITTEN))


RECORDING: Final = Recording()


class Walk(NamedTuple):
    """How far a request went."""

    calls: int
    files: int
    moves: int


def measured(walk: list[CodeType], rooms: str = "") -> Walk:
    """The figures of a walk, or of its part within some rooms."""
    inside = tuple(f"{HOUSE}{room}/" for room in rooms.split()) or (HOUSE, *WRITTEN)
    files = [code.co_filename for code in walk if code.co_filename.startswith((*inside, __file__))]
    return Walk(len(files), len(set(files)), sum(one != other for one, other in pairwise(files)))


def process(name: str, folder: Path, listen: list[Listen]) -> Process:
    """One process of the system, with its state in `folder`."""
    tokens = Tokens(SECRET)
    options = Options(
        environment={}, database=f"sqlite:///{folder}/{{service}}.db", directory=folder, secret=SECRET,
        sign=tokens.prove, resolver=StaticResolver({"rooms": [f"unix:{folder}/rooms.sock"]}),
    )  # fmt: skip
    return Process(Blueprint(system, PLACEMENT), name, options=options, listen=listen, tokens=tokens)


@contextmanager
def rooms_elsewhere(folder: Path) -> Iterator[None]:
    """The process that sagas call, on a thread of its own."""
    loop, started, end = uvloop.new_event_loop(), threading.Event(), asyncio.Event()

    async def live() -> None:
        made = process("rooms", folder, [Listen(f"unix:{folder}/rooms.sock", public=False)])
        await made.start()
        started.set()
        await end.wait()
        await made.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    started.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


async def ask(folder: Path) -> None:
    """Our own client, as a process without services has it."""
    resolver = StaticResolver({"quotes": [f"unix:{folder}/desk.sock"]})
    options = Options(environment={}, resolver=resolver, sign=Tokens(SECRET).prove)
    caller = Assembly(Blueprint(system, PLACEMENT), "caller", options)
    await caller.start()
    await caller.activate()
    client = caller.client(Quotes, "caller")
    for _ in range(COUNT):
        await client.cheapest(1)
    await caller.stop()


def visit(address: str, *lines: str, body: str = "") -> None:
    """A client of another maker, which sends each request in one piece."""
    host, _, port = address.removeprefix("tcp://").partition(":")
    request = "\r\n".join((*lines, f"Host: {host}", f"Content-Length: {len(body)}", "", body)).encode()
    with socket.create_connection((host, int(port))) as connection:
        for _ in range(COUNT):
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            text = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{lines[0]}: {answer.status} {text!r}")


async def walk_through(folder: Path) -> dict[str, tuple[list[CodeType], str]]:
    """The walk of each kind of request, with the rooms that it is mostly about."""
    listen = [Listen("tcp://127.0.0.1:0", public=True), Listen(f"unix:{folder}/desk.sock", public=False)]
    desk = process("desk", folder, listen)
    with rooms_elsewhere(folder):
        await desk.start()
        try:
            service = desk.assembly.instances["desk"].service
            return {
                **await within(service),
                **await from_outside(folder, next(each for each in desk.addresses if each.startswith("tcp"))),
            }
        finally:
            await desk.stop()


async def within(service: DeskService) -> dict[str, tuple[list[CodeType], str]]:
    """Walks that begin in this process."""
    found = {}
    with RECORDING.running():
        for _ in range(COUNT):
            RECORDING.cut()
            await service.quotes.cheapest(1)
    found["call in one process"] = RECORDING.walk(), "services"
    with RECORDING.running():
        for _ in range(COUNT):
            RECORDING.cut()
            await service.database.fetch_all(BY_ID, {"key": 1})
    found["one SELECT"] = RECORDING.walk(), "storage"
    with RECORDING.running():
        for _ in range(COUNT):
            await asyncio.sleep(0.03)  # the event before is delivered, and the relay is quiet
            RECORDING.drop()
            RECORDING.cut()
            async with service.database.begin() as tx:
                await tx.publish(Booked(city="Rome"))
            RECORDING.cut()
    found["publish to commit"] = RECORDING.walk(), "events storage"
    with RECORDING.running():
        await service.book(COUNT)
    found["one remote saga step"] = RECORDING.walk(), "sagas"
    return found


async def from_outside(folder: Path, address: str) -> dict[str, tuple[list[CodeType], str]]:
    """Walks that begin with bytes from a socket."""
    rpc = ("POST /bench.walks.v1.Quotes/Cheapest HTTP/1.1", "Content-Type: application/json")
    kinds: dict[str, Callable[[], object]] = {
        "RPC, own client": lambda: asyncio.run(ask(folder)),
        "RPC with a bearer token": lambda: visit(
            address, *rpc, f"Authorization: Bearer {TOKEN}", body='{"hotel_id":1}'
        ),
        "REST GET": lambda: visit(address, "GET /api/quotes/1 HTTP/1.1"),
    }
    found = {}
    for name, work in kinds.items():
        with RECORDING.running(cut_at="ServerConnection.data_received"):
            await asyncio.to_thread(work)
        found[name] = RECORDING.walk(), "transports"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", metavar="WALK", help="list the calls of one walk")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(walk_through(Path(folder)))
    if arguments.show:
        for code in found[arguments.show][0]:
            print(f"{code.co_filename.removeprefix(HOUSE):<45} {code.co_qualname}")
        return
    figures = {name: {"all": measured(walk), room: measured(walk, room)} for name, (walk, room) in found.items()}
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"{'calls / files / moves':<28}{'in all':>12}   within its room")
    for name, (walk, room) in found.items():
        print(f"{name:<28}{_told(measured(walk)):>12}   {_told(measured(walk, room)):<12} {room.replace(' ', ', ')}")


def _told(walk: Walk) -> str:
    return "/".join(map(str, walk))


if __name__ == "__main__":
    main()
