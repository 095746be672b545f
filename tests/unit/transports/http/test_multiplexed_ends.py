"""How calls end that share a connection: in whatever state one end stops, nothing hangs, is kept or is mistaken."""

from __future__ import annotations

import asyncio
import gc
import random
from datetime import date

import pytest

from meristem.context import Context
from meristem.errors import CallError, Code
from meristem.transports.http.client.http_client import HttpClient
from meristem.transports.http.client.multiplexed import ClientChannel
from meristem.transports.http.frames import (
    AGREED,
    ASKED,
    CALL,
    CANCEL,
    END,
    FAILURE,
    LARGEST,
    PART,
    PREFIX,
    REPLY,
)

SMALL = PREFIX.pack(3, 1, CALL) + b"no\n"  # what is refused


async def served(server):
    """The server's end of the only channel, when it is there."""
    while True:
        for each in server._reaper.connections:
            if hasattr(each.socket, "tasks"):
                return each.socket
        await asyncio.sleep(0)


async def test_a_channel_that_is_asked_for_while_the_server_drains_ends_at_once(wire):
    server = await wire.server()
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    while not server.connections:
        await asyncio.sleep(0)
    draining = asyncio.create_task(server.drain())
    while not server._listeners[0].listener.draining:
        await asyncio.sleep(0)

    writer.write(ASKED)

    assert await wire.within(reader.read()) == AGREED + PREFIX.pack(0, 0, END)
    writer.close()
    await wire.within(draining)


async def test_a_server_that_drains_amid_a_flood_of_frames_drops_what_is_left_of_them(wire, caplog):
    server = await wire.server(linger_seconds=600)
    _, writer = await wire.channel(server)
    channel = await served(server)
    writer.write(SMALL * 20_000)
    while not channel._behind:
        await asyncio.sleep(0)

    draining = asyncio.create_task(server.drain())
    while not channel._over:
        await asyncio.sleep(0)
    writer.close()

    await wire.within(draining)
    assert caplog.records == []


async def test_a_cancelled_call_that_ends_after_the_channel_says_nothing(wire, caplog):
    server = await wire.server()
    client = await wire.shared(server)
    task = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())
    channel = await served(server)
    (number,) = channel.tasks

    channel.data_received(PREFIX.pack(0, number, CANCEL))
    channel.shutdown()

    await wire.within(wire.handlers.cancelled.wait())
    await wire.within(asyncio.wait([task]))
    await wire.within(server.drain())
    assert isinstance(task.exception(), CallError)
    assert caplog.records == []


@pytest.mark.parametrize("size", [5_000, 40_000])
async def test_the_limit_of_a_reply_is_that_of_a_connection_of_its_own(wire, size):
    server = await wire.server()
    data = b"x" * size
    reply = len(b'{"result":""}') + (size + 2) // 3 * 4

    for limit in (reply, reply - 1):
        shared = await wire.shared(server, reply_bytes=limit)
        for client in (shared, wire.client(server, limits=shared._limits)):
            outcome = (await asyncio.gather(client.call(wire.call("blob", data=data)), return_exceptions=True))[0]
            assert outcome == data if limit == reply else "reply_bytes" in str(outcome)
        assert shared._pool.channel._parts == {}


class Foreign(asyncio.Protocol):
    """Agrees to a channel, and answers the first call there by `answer`."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data == ASKED:
            self.transport.write(AGREED)
        elif data.startswith(b"POST"):
            body = b'{"result":{}}'
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        else:
            number = PREFIX.unpack_from(data)[1]
            self.transport.write(PREFIX.pack(len(self._answer) - 1, number, self._answer[0]) + self._answer[1:])


@pytest.mark.parametrize("answer", [bytes([FAILURE]), bytes([FAILURE, 1]), bytes([CALL]), bytes([CANCEL]), b"\xff"])
async def test_an_answer_that_nobody_understands_ends_the_call(wire, tmp_path, answer):
    path = f"{tmp_path}/foreign.sock"
    server = await asyncio.get_running_loop().create_unix_server(lambda: Foreign(answer), path)
    client = HttpClient(f"unix:{path}")
    while client._pool.channel is None:
        await asyncio.gather(*(client.call(wire.call("describe")) for _ in range(3)))

    with pytest.raises(CallError) as caught:
        await wire.within(client.call(wire.call("describe")))

    assert (caught.value.code, caught.value.may_have_happened) == (Code.UNAVAILABLE, True)
    assert await wire.within(client.call(wire.call("describe"))) == {}
    await client.stop()
    server.close()


async def test_a_server_that_reads_no_further_gets_no_more_calls_on_the_channel(wire):
    server = await wire.server()
    client = await wire.shared(server)
    channel = client._pool.channel
    (await served(server))._owner.transport.pause_reading()

    calls = [wire.call("stays", hotel_id=number, tags=["t" * 50_000]) for number in range(60)]
    tasks = [asyncio.create_task(client.call(each)) for each in calls]
    await wire.within(asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))

    assert len(channel._waiting) < 20  # what fits into the kernel, and one buffer
    assert channel._transport.get_write_buffer_size() < 8 * LARGEST
    (await served(server))._owner.transport.resume_reading()
    assert [(await wire.within(each))[0].hotel_id for each in tasks] == list(range(60))
    assert channel.has_room(b"")


async def test_a_number_that_still_waits_is_not_given_again(wire):
    server = await wire.server()
    client = await wire.shared(server)
    waiting = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())
    channel = client._pool.channel

    channel._number -= 1
    (stay,) = await wire.within(client.call(wire.call("stays", hotel_id=3)))

    assert stay.hotel_id == 3
    wire.handlers.release.set()
    assert await wire.within(waiting) is None


async def test_parts_of_an_answer_that_nobody_waits_for_are_not_kept(wire):
    channel = ClientChannel(asyncio.get_running_loop(), lambda: None, 10, 1000)
    channel._take(7, PART, b"x")
    channel._take(7, REPLY, b"x")

    assert (channel._parts, channel._waiting) == ({}, {})


async def test_an_opening_that_was_given_up_is_no_error_of_anybody(wire):
    seen = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: seen.append(context))
    channel = ClientChannel(loop, lambda: None, 10, 1000)
    channel.connection_lost(None)
    del channel
    gc.collect()

    assert seen == []


async def test_a_server_that_follows_one_without_channels_is_asked_again(wire):
    server = await wire.server()
    client = wire.client(server)
    client._pool._shares = False  # what the former one answered
    await asyncio.gather(*(client.call(wire.call("describe")) for _ in range(3)))
    for connection in list(client._pool._open):
        connection.close()

    while client._pool.channel is None:
        await wire.within(asyncio.gather(*(client.call(wire.call("describe")) for _ in range(3))))


async def test_whatever_becomes_of_the_others_a_call_gets_its_own_answer_and_nothing_is_kept(wire):
    server = await wire.server()
    client, chance = await wire.shared(server), random.Random(11)
    channel, behind = client._pool.channel, await served(server)
    room = asyncio.Semaphore(150)

    async def one(number: int) -> None:
        async with room:
            kind, tag = chance.random(), f"{number}-" + "x" * chance.choice([0, 10, 3_000, 30_000, 60_000])
            many = chance.choice([1, 1, 1, 2, 5])  # replies are larger than requests: some come in parts
            stays = wire.call("stays", hotel_id=number, tags=[tag] * many if len(tag) < 10_000 else [tag])
            if kind < 0.2:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(chance.random() / 200):
                        await client.call(stays)
                        raise TimeoutError
            elif kind < 0.25:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(chance.random() / 100):
                        await client.call(wire.call("wait"))
            elif kind < 0.4:
                values = {"hotel_id": number, "city": "Full", "arrival": date(2030, 1, 2)}
                with pytest.raises(wire.RoomTaken) as caught:
                    await client.call(wire.call("book", Context(key=str(number)), **values))
                assert caught.value.hotel_id == number
            else:
                found = await client.call(stays)
                assert {(each.hotel_id, each.city) for each in found} == {(number, tag)}

    await wire.within(asyncio.gather(*(one(number) for number in range(1000, 4000))))

    assert (channel._waiting, channel._parts, client.in_flight) == ({}, {}, 0)
    assert channel is client._pool.channel
    async with asyncio.timeout(30):
        while behind.tasks:
            await asyncio.sleep(0)


@pytest.mark.parametrize("tags", [1, 12])  # answered in one frame, or in parts
async def test_answers_wait_while_their_client_does_not_read_and_are_no_load_of_the_transport(wire, tags):
    server = await wire.server()
    client = await wire.shared(server)
    channel, behind = client._pool.channel, await served(server)
    channel._transport.pause_reading()

    calls = [wire.call("stays", hotel_id=number, tags=["t" * (40_000 // tags)] * tags) for number in range(100)]
    tasks = [asyncio.create_task(client.call(each)) for each in calls]
    while not behind._frames._held:
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)

    assert behind._owner.transport.get_write_buffer_size() <= 9 * LARGEST
    assert not all(task.done() for task in tasks)
    channel._transport.resume_reading()
    assert [(await wire.within(each))[0].hotel_id for each in tasks] == list(range(100))
