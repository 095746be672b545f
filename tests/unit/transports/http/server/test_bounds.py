"""What a connection may cost is bounded for each of its requests: memory, time, and how many there are."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tracemalloc
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from meristem.security.crowds import crowd_of
from meristem.transports.http.server.body import CHUNKS, ChunkedBody
from meristem.transports.http.server.intake import Intake

PATIENCE = 30
MIB = 1024 * 1024
RPC = "/shop.rooms.v1.Rooms/Blob"
PATHS = [RPC, "/api/bookings", "/app/x"]
GET = b"GET /api/nothing HTTP/1.1\r\nhost: x\r\n\r\n"


async def reading(scope: Any, receive: Any, send: Any) -> None:
    """Reads a body to its end and tells its size."""
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        size, more = size + len(event["body"]), event["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


async def never(scope: Any, receive: Any, send: Any) -> None:
    """Leaves a body unread."""
    await asyncio.Event().wait()


async def dial(server: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *lines, "", ""]).encode()


async def ended(reader: asyncio.StreamReader) -> list[int]:
    """The statuses of what comes until the server says no more."""
    answers = await asyncio.wait_for(reader.read(), PATIENCE)
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+)", answers)]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("first", [b"", GET], ids=["first", "second"])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"a: " + b"b" * 70_000, 431),
        (b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: " + b"b" * 70_000, 431),
        (b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 101, 431),
        (b"transfer-encoding: chunked\r\n\r\n1;" + b"a" * 300, 400),
    ],
)
async def test_limits_hold_for_every_request_of_a_connection(wire, path, first, data, status):
    server = await wire.server(app=reading, linger_seconds=0.1)
    reader, writer = await dial(server)

    writer.write(first + head(path)[:-2] + data)

    assert (await ended(reader))[-1] == status
    writer.close()


@pytest.mark.parametrize("path", PATHS)
async def test_trailers_without_end_take_no_memory(wire, path):
    server = await wire.server(app=reading, linger_seconds=0.1)
    _, writer = await dial(server)
    tracemalloc.start()
    writer.write(head(path, "transfer-encoding: chunked") + b"0\r\n")
    for _ in range(60):
        writer.write(b"a: " + b"b" * (MIB // 16) + b"\r\n")
        await asyncio.sleep(0)
    await wire.emptied(server)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 12 * MIB  # most of it is the client's
    writer.close()


async def test_what_is_pipelined_is_read_no_further_also_after_an_answer(wire):
    """A megabyte waits with the kernel and the client, whatever was answered meanwhile."""
    server = await wire.server(pipelined_bytes=4096)
    reader, writer = await dial(server)
    writer.write(head("/shop.rooms.v1.Rooms/Wait", "content-length: 2") + b"{}")
    await wire.within(wire.handlers.started.wait())
    writer.write(GET * 20_000)
    [connection] = server._listeners[0].listener._connections
    most = 0
    for turn in range(200):
        await asyncio.sleep(0)
        most = max(most, len(connection.inbox))
        if turn == 100:
            wire.handlers.release.set()

    assert 4096 < most < 4096 + 2 * 256 * 1024  # one reading more than the limit
    found = 0
    while found < 20_001:
        found += (await asyncio.wait_for(reader.read(MIB), PATIENCE)).count(b"HTTP/1.1 ")
        most = max(most, len(connection.inbox))
    assert most < 4096 + 2 * 256 * 1024
    writer.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("framing", ["content-length: 1000", "transfer-encoding: chunked"])
async def test_a_body_that_drips_is_refused_in_time(wire, path, framing):
    server = await wire.server(app=reading, body_seconds=0.3, body_rate=1000, linger_seconds=0.1)
    reader, writer = await dial(server)
    writer.write(head(path, framing))
    answer = asyncio.ensure_future(ended(reader))
    while not answer.done():
        writer.write(b"1\r\n \r\n" if "chunked" in framing else b" ")
        await asyncio.wait({answer}, timeout=0.05)

    assert await answer == [408]
    writer.close()


async def test_others_run_between_two_readings_of_a_long_body(wire, monkeypatch):
    """In its chunks each reading takes long, and a quick client always has more to read."""
    server = await wire.server("tcp://127.0.0.1:0")
    address = ("127.0.0.1", int(server.addresses[0].rpartition(":")[2]))
    body = (b"20\r\n" + b" " * 32 + b"\r\n") * 200_000 + b"0\r\n\r\n"
    turn, turns = 0, []
    take = Intake.take

    def noted(self: Intake, inbox: bytearray) -> bool:
        turns.append((turn, len(inbox)))
        return take(self, inbox)

    def send() -> bytes:
        with socket.create_connection(address, PATIENCE) as client:
            client.sendall(head("/api/bookings", "transfer-encoding: chunked") + body)
            return client.recv(100)

    monkeypatch.setattr(Intake, "take", noted)
    sending = asyncio.ensure_future(asyncio.to_thread(send))
    while not sending.done():
        turn += 1
        await asyncio.sleep(0)

    long = [each for each, size in turns if size >= 64 * 1024]
    assert (await sending).startswith(b"HTTP/1.1 422")
    assert len(long) == len(set(long))


@pytest.mark.parametrize("path", ["/api/bookings", "/app/x"])
async def test_a_turn_of_the_loop_takes_a_few_of_many_chunks(wire, monkeypatch, path):
    """Also where they have all arrived at once, and in a body that an app reads."""
    server = await wire.server(app=reading)
    turn, turns = 0, []
    take = ChunkedBody.take

    def noted(self: ChunkedBody, inbox: bytearray) -> bytes:
        part = take(self, inbox)
        turns.append((turn, len(part)))
        return part

    monkeypatch.setattr(ChunkedBody, "take", noted)
    reader, writer = await dial(server)
    writer.write(head(path, "transfer-encoding: chunked") + b"20\r\n" + (b" " * 32 + b"\r\n20\r\n") * 20_000)
    writer.write(b" " * 32 + b"\r\n0\r\n\r\n")
    answer = asyncio.ensure_future(reader.readline())
    while not answer.done():
        turn += 1
        await asyncio.sleep(0)

    assert answer.result().split()[1] in (b"200", b"422")
    assert sum(size for _, size in turns) == 20_001 * 32
    assert max(size for _, size in turns) <= (CHUNKS + 1) * 32  # and the rest of one that has begun
    # Two: the rest of what was read, and then the beginning of what is read after that.
    assert max(Counter(each for each, size in turns if size).values()) <= 2
    writer.close()


@pytest.mark.parametrize("path", ["/api/bookings", "/app/x"])
async def test_a_body_that_comes_byte_by_byte_takes_little_more_than_its_bytes(wire, path):
    server = await wire.server(app=never)
    _, writer = await dial(server)
    size = 60_000
    writer.write(head(path, f"content-length: {size + 1}"))
    await asyncio.sleep(0)
    tracemalloc.start()
    for _ in range(size):
        writer.write(b" ")
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert held < 3 * size
    writer.close()


async def test_a_slow_upload_at_a_sane_rate_goes_on_for_an_app(wire):
    server = await wire.server(app=reading, body_seconds=0.3, body_rate=100)
    reader, writer = await dial(server)
    writer.write(head("/app/x", "content-length: 20000"))
    for _ in range(20):
        writer.write(b"x" * 1000)
        await asyncio.sleep(0.05)  # a second in all, three times what a body that nobody rates may take

    answer = await asyncio.wait_for(reader.readuntil(b"20000"), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize(("rate", "served"), [(1_000_000, True), (1_000_000_000, False)])
async def test_who_reads_a_long_answer_steadily_is_served_to_the_end_at_a_sane_rate(wire, rate, served):
    """Of four megabytes 64 KiB every 20 ms, which is four times longer than a client may read nothing."""
    server = await wire.server(write_seconds=0.3, write_rate=rate)
    reader, writer = await dial(server)
    body = json.dumps({"data": "eHh4" * MIB}).encode()
    writer.write(head("/shop.rooms.v1.Rooms/Blob", f"content-length: {len(body)}") + body)

    read = 0
    with suppress(ConnectionResetError):
        while read < 4 * MIB and (part := await asyncio.wait_for(reader.read(64 * 1024), PATIENCE)):
            read += len(part)
            await asyncio.sleep(0.02)  # the pace is the matter of this test

    assert (read >= 4 * MIB) == served
    writer.close()


async def telling(scope: Any, receive: Any, send: Any) -> None:
    """Answers with as many bytes as its path says."""
    size = int(scope["path"].rpartition("/")[2])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    await send({"type": "http.response.body", "body": b"x" * size})


@pytest.mark.parametrize("size", [230_000, 250_000, 270_000, 400_000])
@pytest.mark.parametrize(("patience", "served"), [(30.0, True), (0.2, False)])
async def test_a_last_answer_is_taken_at_the_pace_of_any_other(wire, size, patience, served):
    """What the kernel has no room for waits in the server, which has said that nothing more comes."""
    server = await wire.server(app=telling, linger_seconds=0.1, write_seconds=patience)
    reader, writer = await dial(server)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(f"GET /app/{size} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    await asyncio.sleep(0.8)  # well beyond the time for what comes after

    assert server.connections == served
    if served:
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        assert len(answer.partition(b"\r\n\r\n")[2]) == size
    writer.transport.abort()
    await asyncio.sleep(0)


async def test_what_is_left_of_a_body_has_its_time_after_an_early_answer_that_took_long(wire):
    async def early(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await asyncio.sleep(0.5)  # longer than a body may take
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early"})

    server = await wire.server(app=early, body_seconds=0.3, body_rate=1)
    reader, writer = await dial(server)
    writer.write(head("/app/x", "content-length: 100000") + b"x" * 80_000)  # more than waits for an app
    await asyncio.wait_for(reader.readuntil(b"early"), PATIENCE)
    await asyncio.sleep(0.15)  # the server looks at its connections
    writer.write(b"x" * 20_000 + GET)

    await asyncio.wait_for(reader.readuntil(b"HTTP/1.1 200 "), PATIENCE)
    writer.close()


async def test_time_in_which_an_app_does_not_read_is_not_the_clients(wire):
    going = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await going.wait()
        await reading(scope, receive, send)

    server = await wire.server(app=late, body_seconds=0.2, body_rate=1_000_000)
    reader, writer = await dial(server)
    writer.write(head("/app/x", "content-length: 1000000") + b"x" * 500_000)
    await asyncio.sleep(0.5)  # well beyond its time
    going.set()
    writer.write(b"x" * 500_000)

    assert b"1000000" in await asyncio.wait_for(reader.readuntil(b"1000000"), PATIENCE)
    writer.close()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_the_addresses_that_one_host_may_choose_are_one(one, other, same):
    assert (crowd_of(one) == crowd_of(other)) == same


async def test_connections_of_one_address_are_bounded_and_unix_sockets_are_not(wire):
    server = await wire.server("tcp://127.0.0.1:0", connections_per_address=2)
    port = int(server.addresses[0].rpartition(":")[2])
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    assert await ended(opened[2][0]) == [503]

    opened[0][1].close()
    while server.connections > 1:
        await asyncio.sleep(0.01)
    again = await asyncio.open_connection("127.0.0.1", port)
    again[1].write(GET)
    assert (await asyncio.wait_for(again[0].read(12), PATIENCE)) == b"HTTP/1.1 404"

    local = await wire.server(connections_per_address=2)
    many = [await dial(local) for _ in range(5)]
    many[4][1].write(GET)
    assert (await asyncio.wait_for(many[4][0].read(12), PATIENCE)) == b"HTTP/1.1 404"
    for _, writer in (*opened, again, *many):
        writer.close()


async def test_expect_is_answered_when_the_body_is_wanted_and_refused_when_not(wire):
    server = await wire.server(app=reading, linger_seconds=0.1)
    for path, first in ((RPC, 100), ("/api/bookings", 100), ("/app/x", 100), ("/api/mine", 405)):
        reader, writer = await dial(server)
        writer.write(head(path, "content-length: 2", "expect: 100-continue"))
        status = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).split()[1]
        assert int(status) == first
        if first == 100:
            writer.write(b"{}")
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)).startswith(b"HTTP/1.1 ")
        else:
            assert json.loads(await reader.read())["status"] == first
        writer.close()
