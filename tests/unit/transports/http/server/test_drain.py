"""Draining: nothing that was accepted is lost, nothing new is taken, and the address is free again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import time

import pytest

from meristem.errors import CallError, ConfigurationError
from meristem.transports.http.address import Address
from meristem.transports.http.client.http_client import HttpClient


async def test_work_in_flight_is_answered_and_idle_connections_end(wire):
    server, client = await wire.pair()
    path = server.addresses[0].removeprefix("unix:")
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /api/hotels/5/stays HTTP/1.1\r\nhost: x\r\n\r\n")
    await wire.within(reader.readuntil(b"\r\n\r\n"))
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())

    draining = asyncio.create_task(server.drain())
    await wire.within(reader.read())
    assert not draining.done()
    wire.handlers.release.set()

    assert await calling is None
    await wire.within(draining)
    with pytest.raises(FileNotFoundError):
        await asyncio.open_unix_connection(path)
    writer.close()


async def test_a_websocket_that_is_opened_during_a_drain_is_sent_elsewhere(wire):
    async def app(scope, receive, send) -> None:
        raise AssertionError("nothing reaches the app")

    server = await wire.server(app=app)
    client = wire.client(server)
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())
    draining = asyncio.create_task(server.drain())
    while not server._listeners[0].listener.draining:
        await asyncio.sleep(0)

    writer.write(
        b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
    )

    assert (await wire.within(reader.readuntil(b"\r\n"))).startswith(b"HTTP/1.1 503")
    wire.handlers.release.set()
    await wire.within(draining)
    assert await calling is None
    writer.close()


async def test_a_stream_in_flight_is_finished(wire):
    server, client = await wire.pair()
    replies = await client.call(wire.call("count", until=1000))
    assert await anext(replies) == 0

    draining = asyncio.create_task(server.drain())
    rest = [number async for number in replies]

    assert rest == list(range(1, 1000))
    await wire.within(draining)


@pytest.mark.parametrize("address", ["", "tcp://127.0.0.1:0"])
async def test_a_restart_under_load_loses_no_call(wire, address):
    """Calls that were not served are known to be unserved, so that each may be sent to the next server."""
    server = await wire.server(address)
    clients = [wire.client(server)]
    answered, resent = [], []
    stop = asyncio.Event()
    under_load = asyncio.Semaphore(0)

    async def caller(number: int) -> None:
        client = clients[-1]
        while not stop.is_set():
            try:
                answered.append(await client.call(wire.call("blob", data=b"%d" % number)))
                under_load.release()
            except CallError as error:
                resent.append(error)
                client = clients[-1]

    callers = [asyncio.create_task(caller(number)) for number in range(20)]
    for number in range(1, 13):
        while len(answered) < number * 50:
            await wire.within(under_load.acquire())
        for _ in range(number):  # so that calls are met at every point of their way
            await asyncio.sleep(0)
        following = await wire.server(address)
        clients.append(wire.client(following))
        await wire.within(server.drain())
        await server.stop()
        server = following
    stop.set()
    await wire.within(asyncio.gather(*callers))

    assert [error for error in resent if error.may_have_happened] == []


async def test_who_connected_just_before_is_still_served(wire):
    """A stock client does not send such a request again: it would be lost."""
    server, _ = await wire.pair()
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    while not server.connections:
        await asyncio.sleep(0)
    draining = asyncio.create_task(server.drain())
    for _ in range(20):  # it takes in first what the kernel has accepted
        await asyncio.sleep(0)
    writer.write(b"GET /api/hotels/5/stays HTTP/1.1\r\nhost: x\r\n\r\n")
    answer = await wire.within(reader.read())

    assert answer.startswith(b"HTTP/1.1 2")
    await wire.within(draining)
    writer.close()


async def test_a_request_that_comes_when_the_machine_was_held_up_is_served(wire):
    """Nobody may be called late for time in which nobody could do anything."""
    server, _ = await wire.pair(linger_seconds=0.4, first_seconds=0.2)  # it looks at them every 0.1 s
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    while not server.connections:
        await asyncio.sleep(0)
    draining = asyncio.create_task(server.drain())
    for _ in range(20):
        await asyncio.sleep(0)
    time.sleep(1)  # noqa: ASYNC251 - holds both ends up
    for _ in range(5):
        await asyncio.sleep(0)
    writer.write(b"GET /api/hotels/5/stays HTTP/1.1\r\nhost: x\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 60)

    assert answer.startswith(b"HTTP/1.1 2")
    await asyncio.wait_for(draining, 60)
    writer.close()


async def test_a_request_that_was_on_its_way_on_an_idle_connection_is_answered_and_is_the_last(wire):
    """Closing the connection at once would lose it: a stock client cannot know whether it was served."""
    server, _ = await wire.pair()
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    request = b"GET /api/hotels/5/stays HTTP/1.1\r\nhost: x\r\n\r\n"
    writer.write(request)
    first = await wire.within(reader.readuntil(b"]"))
    draining = asyncio.create_task(server.drain())
    await asyncio.sleep(0.1)  # well into the drain
    writer.write(request)
    second = await wire.within(reader.read())

    assert b"connection: close" not in first.lower()
    assert second.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in second.lower()
    await wire.within(draining)
    writer.close()


async def test_the_port_stays_open_until_what_was_in_flight_is_answered(wire):
    """What is in flight may need an app behind the same port, over a connection of its own."""
    server, client = await wire.pair("tcp://127.0.0.1:0")
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())
    draining = asyncio.create_task(server.drain())
    await asyncio.sleep(0.1)  # well into the drain

    assert await wire.client(server).call(wire.call("blob", data=b"x")) == b"x"
    wire.handlers.release.set()
    await calling
    await wire.within(draining)
    with pytest.raises(CallError, match="cannot connect"):
        await wire.client(server).call(wire.call("blob", data=b"x"))


async def test_a_socket_that_was_never_there_is_told_from_one_that_has_gone(wire, tmp_path):
    server, client = await wire.pair()
    early = HttpClient(f"unix:{tmp_path}/later.sock")
    await client.call(wire.call("blob", data=b"x"))
    await server.drain()
    await server.stop()
    with pytest.raises(CallError, match="cannot connect") as gone:
        await client.call(wire.call("blob", data=b"x"))
    with pytest.raises(CallError, match="cannot connect") as unborn:
        await early.call(wire.call("blob", data=b"x"))

    assert gone.value.unborn is None
    assert unborn.value.unborn is not None


async def test_who_connected_and_sends_nothing_does_not_hold_up_the_end(wire):
    server, _ = await wire.pair()
    _, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    while not server.connections:
        await asyncio.sleep(0)

    await wire.within(server.drain())
    writer.close()


async def test_draining_an_unused_server_returns_at_once(wire):
    server = await wire.server()
    draining = asyncio.create_task(server.drain())
    for _ in range(50):
        await asyncio.sleep(0)

    assert draining.done()


async def test_stopping_twice_is_safe_and_cancels_what_runs(wire):
    server, client = await wire.pair()
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())

    await server.stop()
    await server.stop()

    assert wire.handlers.cancelled.is_set()
    with pytest.raises(CallError):
        await calling


async def test_a_method_that_ignores_its_cancellation_is_named_and_does_not_hold_up_the_stop(wire, caplog, monkeypatch):
    monkeypatch.setattr("meristem.lifecycle.GRACE", 0.05)
    freed = asyncio.Event()

    async def stay(_: object) -> None:
        wire.handlers.started.set()
        while not freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await freed.wait()

    monkeypatch.setattr(wire.handlers, "wait", stay)
    server, client = await wire.pair()
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())

    await wire.within(server.stop())
    freed.set()

    assert re.search(r"/Wait ignores that it was cancelled, in .*stay \(", caplog.text)
    with pytest.raises(CallError):
        await calling


async def test_one_server_listens_on_several_addresses(wire, tmp_path):
    server = await wire.server("tcp://127.0.0.1:0")
    await server.start(f"unix:{tmp_path}/second.sock", public=True)

    assert [each.partition(":")[0] for each in server.addresses] == ["tcp", "unix"]
    assert os.stat(tmp_path / "second.sock").st_mode & 0o777 == 0o600  # noqa: PTH116 - quick


async def test_on_a_public_address_internal_operations_need_a_token_even_without_a_verifier(wire):
    server = await wire.server()
    await server.start("tcp://127.0.0.1:0", public=True)
    inside, outside = wire.client(server), type(wire.client(server))(server.addresses[1])

    await inside.call(wire.call("blob", data=b"x"))
    with pytest.raises(CallError, match="internal"):
        await outside.call(wire.call("blob", data=b"x"))
    await outside.stop()


@pytest.mark.parametrize("address", ["http", "tcp://nowhere", "tcp://1.2.3.4:99999", "unix:", ""])
def test_an_address_that_cannot_be_read_is_refused_with_the_forms_that_can(address):
    with pytest.raises(ConfigurationError, match="unix:/run/shop.sock"):
        Address.parse(address)


async def test_an_address_that_is_taken_is_named(wire):
    server = await wire.server("tcp://127.0.0.1:0")

    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1"):
        await wire.server(server.addresses[0])


async def test_drain_of_a_client_waits_for_its_calls(wire):
    _, client = await wire.pair()
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())
    draining = asyncio.create_task(client.drain())
    await asyncio.sleep(0)

    assert not draining.done()
    wire.handlers.release.set()
    await calling
    await wire.within(draining)


@pytest.mark.parametrize("turns", range(8))
async def test_who_connects_in_the_moment_of_the_stop_is_cut_off_too(wire, turns):
    server = await wire.server()
    path = server.addresses[0].removeprefix("unix:")
    (_, early), late = await asyncio.open_unix_connection(path), socket.socket(socket.AF_UNIX)
    with contextlib.closing(early), contextlib.closing(late):
        while not server.connections:
            await asyncio.sleep(0)
        late.connect(path)
        for _ in range(turns):  # it is accepted in one turn of the loop and handed over in a later one
            await asyncio.sleep(0)

        await wire.within(server.stop())

        assert server.connections == 0
        late.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            assert late.recv(1) == b""
