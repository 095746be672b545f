"""Many calls on one connection: each gets its own answer, whatever becomes of the others, the server or the client."""

from __future__ import annotations

import asyncio
import random
from datetime import date

import pytest

from meristem.context import Context
from meristem.contracts.call import Call
from meristem.errors import CallError, Code
from meristem.transports.http.client.http_client import HttpClient
from meristem.transports.http.frames import ASKED, CALL, CANCEL, END, LARGEST, PREFIX, REPLY, CallFrames


def stays(wire, number: int) -> Call:
    return wire.call("stays", hotel_id=number, tags=[str(number)])


async def test_who_calls_one_after_the_other_has_one_connection(wire):
    server, client = await wire.pair()

    for number in range(20):
        await client.call(stays(wire, number))

    assert (server.connections, client._pool.channel) == (1, None)


async def test_many_calls_at_a_time_have_their_own_answers_in_any_order(wire):
    server = await wire.server()
    client = await wire.shared(server)
    before, chance = server.connections, random.Random(7)

    async def one(number: int) -> None:
        if chance.random() < 0.1:
            task = asyncio.create_task(client.call(wire.call("wait")))
            await asyncio.sleep(chance.random() / 100)
            task.cancel()
            return
        size = chance.choice([1, 1000, 70_000, 200_000])
        if chance.random() < 0.3:
            assert await client.call(wire.call("blob", data=b"%d" % number * size)) == b"%d" % number * size
        (stay,) = await client.call(stays(wire, number))
        assert (stay.hotel_id, stay.city) == (number, str(number))

    await wire.within(asyncio.gather(*(one(number) for number in range(1, 200))))

    assert server.connections <= before + 60  # the large ones go by themselves
    assert client.in_flight == 0


async def test_small_calls_need_no_further_connections(wire):
    server = await wire.server()
    client = await wire.shared(server)
    before = server.connections

    await asyncio.gather(*(client.call(stays(wire, number)) for number in range(1, 250)))

    assert server.connections == before


@pytest.mark.parametrize("city", ["Full", "Suite", "Broke", "Bug", "Busy", "Odd"])
async def test_an_error_is_what_it_is_on_a_connection_of_its_own(wire, city):
    server = await wire.server()
    call = wire.call("book", Context(key="k1"), hotel_id=7, city=city, arrival=date(2030, 1, 2))

    errors = []
    for client in (await wire.shared(server), wire.client(server)):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - faults and CallErrors alike
            await client.call(call)
        errors.append(caught.value)

    shown = [repr({**vars(each), "args": each.args}) for each in errors]
    assert (type(errors[0]), shown[0]) == (type(errors[1]), shown[1])


async def test_a_call_that_is_cancelled_is_cancelled_at_the_server_and_no_other_is(wire):
    server = await wire.server()
    client = await wire.shared(server)
    other = asyncio.create_task(client.call(wire.call("blob", data=b"x" * 1000)))
    task = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())

    task.cancel()

    await wire.within(wire.handlers.cancelled.wait())
    assert await other == b"x" * 1000
    assert await client.call(stays(wire, 5)) is not None


async def test_a_client_that_goes_cancels_what_it_waits_for(wire):
    server = await wire.server()
    client = await wire.shared(server)
    task = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())

    await client.stop()

    with pytest.raises(CallError) as caught:
        await task
    assert (caught.value.code, caught.value.may_have_happened) == (Code.UNAVAILABLE, True)
    await wire.within(wire.handlers.cancelled.wait())


async def test_a_server_that_drains_answers_what_it_began_and_serves_nothing_else(wire):
    server = await wire.server()
    client = await wire.shared(server)
    began = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())

    draining = asyncio.create_task(server.drain())
    outcomes = []
    while len(outcomes) < 20:
        outcomes += await asyncio.gather(*(client.call(stays(wire, 1)) for _ in range(5)), return_exceptions=True)
        await asyncio.sleep(0.001)
    assert not began.done()
    wire.handlers.release.set()

    await wire.within(draining)
    assert await began is None
    refused = [each for each in outcomes if isinstance(each, CallError)]
    assert all(not each.may_have_happened for each in refused)


async def test_a_call_that_comes_after_the_servers_end_is_known_to_be_unserved(wire):
    server = await wire.server()
    client = await wire.shared(server)
    calls = [asyncio.create_task(client.call(stays(wire, number))) for number in range(1, 100)]

    await server.drain()  # begun before any of them is on its way

    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert not isinstance(outcome, CallError) or not outcome.may_have_happened


async def test_a_server_that_dies_may_have_served_what_it_did_not_answer(wire):
    server = await wire.server()
    client = await wire.shared(server)
    task = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())

    await server.stop()

    with pytest.raises(CallError) as caught:
        await task
    assert (caught.value.code, caught.value.may_have_happened, caught.value.lost) == (Code.UNAVAILABLE, True, True)
    assert client._pool.channel is None


async def test_a_reply_above_the_limit_is_refused_and_the_others_go_on(wire):
    server = await wire.server()
    client = await wire.shared(server, reply_bytes=100_000)
    data = b"x" * 40_000  # base64 and the size of a call: what comes back is as large

    assert await client.call(wire.call("blob", data=data)) == data
    large, other = await asyncio.gather(
        client.call(wire.call("stays", hotel_id=1, tags=["t" * 50] * 1200)),
        client.call(stays(wire, 3)),
        return_exceptions=True,
    )

    assert "reply_bytes" in str(large)
    assert other[0].hotel_id == 3


async def test_calls_above_the_limit_of_connections_go_by_themselves(wire):
    server = await wire.server()
    client = await wire.shared(server, connections=4)
    waiting = [asyncio.create_task(client.call(wire.call("wait"))) for _ in range(6)]
    await wire.within(wire.handlers.started.wait())

    assert await wire.within(client.call(stays(wire, 9))) is not None
    wire.handlers.release.set()
    await wire.within(asyncio.gather(*waiting))


class Plain(asyncio.Protocol):
    """A server of HTTP that knows no channel, and counts who asks for one."""

    asked = 0

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if b"upgrade" in data:
            type(self).asked += 1
            self.transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        else:
            body = b'{"result":{"caller":"plain"}}'
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            self.transport.write(head + body)


async def test_a_server_that_speaks_http_alone_is_asked_once(wire, tmp_path):
    Plain.asked = 0
    path = f"{tmp_path}/plain.sock"
    server = await asyncio.get_running_loop().create_unix_server(Plain, path)
    client = HttpClient(f"unix:{path}")

    for _ in range(20):
        answers = await asyncio.gather(*(client.call(wire.call("describe")) for _ in range(5)))

    assert answers == [{"caller": "plain"}] * 5
    assert (Plain.asked, client._pool.channel) == (1, None)
    await client.stop()
    server.close()


async def test_no_channel_is_opened_to_the_public(wire):
    server = await wire.server()
    await server.start("tcp://127.0.0.1:0", public=True)
    host, port = server.addresses[1].removeprefix("tcp://").split(":")

    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(ASKED)

    assert (await wire.within(reader.readuntil(b"\r\n"))).startswith(b"HTTP/1.1 404")
    writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        PREFIX.pack(LARGEST + 1, 1, CALL),
        PREFIX.pack(0, 1, REPLY),
        PREFIX.pack(0, 1, END),
        PREFIX.pack(0, 1, 255),
        b"\xff" * 64,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_frame_ends_the_connection_alone(wire, sent):
    server = await wire.server()
    client = await wire.shared(server)
    reader, writer = await wire.channel(server)

    writer.write(sent)

    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await wire.within(reader.readexactly(1))
    assert await client.call(stays(wire, 2)) is not None
    writer.close()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"POST /x HTTP/1.1\r\n"])
async def test_what_is_no_unary_call_is_sent_back_unserved(wire, content):
    server = await wire.server()
    reader, writer = await wire.channel(server)

    writer.write(PREFIX.pack(len(content), 9, CALL) + content + PREFIX.pack(0, 77, CANCEL))

    length, number, kind = PREFIX.unpack(await wire.within(reader.readexactly(PREFIX.size)))
    assert (length, number, kind) == (0, 9, 5)
    assert not wire.handlers.used.is_set()
    writer.close()


async def test_a_flood_of_frames_lets_others_run(wire):
    server = await wire.server()
    reader, writer = await wire.channel(server)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    writer.write(b"".join(PREFIX.pack(3, number, CALL) + b"no\n" for number in range(20_000)))
    turns = 0
    answers = await wire.within(reader.readexactly(20_000 * PREFIX.size))

    counting.cancel()
    assert [PREFIX.unpack_from(answers, at)[1] for at in range(0, len(answers), PREFIX.size)] == list(range(20_000))
    assert turns > 20_000 / 256
    writer.close()


async def test_frames_are_found_however_the_bytes_arrive():
    class Kept:
        def __init__(self) -> None:
            self.data = b""

        def is_closing(self) -> bool:
            return False

        def write(self, data: bytes) -> None:
            self.data += data

    kept, chance = Kept(), random.Random(3)
    frames = CallFrames(asyncio.get_running_loop(), kept)
    sent = [(number, number % 7, chance.randbytes(chance.choice([0, 1, 30, 5000, LARGEST]))) for number in range(60)]
    for each in sent:
        frames.send(*each)
    frames.flush()

    for step in (1, 7, 4096, 1 << 20):
        found: list[tuple[int, int, bytes]] = []
        at = 0
        while at < len(kept.data):
            size = step if step > 7 else chance.choice([step, 40_000])
            found += frames.feed(kept.data[at : at + size])
            at += size
        assert found == sent


async def test_a_peer_that_reads_no_answers_is_not_read_and_ends(wire):
    server = await wire.server(write_seconds=0.5, linger_seconds=0.1)
    await wire.server()
    reader, writer = await wire.channel(server)
    lines = [
        b"POST /shop.rooms.v1.Rooms/Blob HTTP/1.1", b"host: localhost", b"user-agent: meristem/1",
        b"content-type: application/json", b"connect-protocol-version: 1", b"content-length: 60013", b"", b"",
    ]  # fmt: skip
    call = b"\r\n".join(lines) + b'{"data":"' + b"x" * 60_000 + b'"}  '
    reader._transport.pause_reading()

    async def flood() -> None:
        for number in range(2000):
            writer.write(PREFIX.pack(len(call), number, CALL) + call)
            await writer.drain()

    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await wire.within(flood())
    await wire.emptied(server)
    writer.close()
