"""What a peer can do to a gRPC port, and what the others notice of it."""

import asyncio
import struct

import grpc

from meristem.resilience.limits import Limits

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, RESET = 4, 1, 3  # types of frames (RFC 9113, section 6)
END_HEADERS = 4
RAPID = 5000


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(path: str) -> bytes:
    """The head of a call, each field a literal that is not indexed (RFC 7541, section 6.2.2)."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers",
        "content-type": "application/grpc",
    }  # fmt: skip
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )


async def connected(server):
    return await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))


async def test_calls_that_are_reset_as_soon_as_they_begin_leave_nothing_and_others_are_answered(shop):
    """The rapid reset of CVE-2023-44487."""
    server, client = await shop.pair()
    head = headers(shop.operations["wait"].path)
    _, writer = await connected(server)
    writer.write(PREFACE + frame(SETTINGS, 0, 0))
    answered = 0
    for number in range(RAPID):
        stream = 2 * number + 1
        writer.write(frame(HEADERS, END_HEADERS, stream, head) + frame(RESET, 0, stream, struct.pack(">I", 8)))
        if number % 500 == 0:
            assert isinstance(await shop.within(client.call(shop.call("stays", hotel_id=1))), list)
            answered += 1
    writer.close()

    assert answered == RAPID // 500
    assert isinstance(await shop.within(client.call(shop.call("stays", hotel_id=1))), list)
    await shop.within(server.drain())  # which waits for whatever is in flight


async def test_connections_that_say_nothing_are_closed_and_those_above_the_limit_are_refused(shop):
    server = await shop.server(limits=Limits(connections=50, head_seconds=0.5))
    silent = [await connected(server) for _ in range(200)]

    ends = await shop.within(asyncio.gather(*(reader.read() for reader, _ in silent), return_exceptions=True))
    client = shop.client(server)

    assert len(ends) == 200
    assert isinstance(await shop.within(client.call(shop.call("stays", hotel_id=1))), list)
    for _, writer in silent:
        writer.close()


async def test_stock_clients_that_stream_while_a_server_drains_get_all_of_it(shop):
    server = await shop.server()
    counting = shop.method(shop.stock(server), "count")(shop.request("count", until=200))
    items = aiter(counting)
    await shop.within(anext(items))
    draining = asyncio.ensure_future(server.drain())
    rest = [item async for item in items]

    await shop.within(draining)
    assert len(rest) == 199
    assert await counting.code() is grpc.StatusCode.OK


async def test_a_stock_client_whose_stream_is_cut_by_a_stop_is_told_unavailable(shop):
    server = await shop.server()
    waiting = shop.method(shop.stock(server), "wait")(shop.request("wait"))
    await shop.within(shop.handlers.started.wait())
    draining = asyncio.ensure_future(server.drain())
    await asyncio.sleep(0)

    await shop.within(server.stop())
    error = await shop.failed(waiting)
    draining.cancel()

    assert error.code() is grpc.StatusCode.UNAVAILABLE
