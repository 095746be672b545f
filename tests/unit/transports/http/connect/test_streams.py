"""Server streams between Meristem's own client and server."""

from __future__ import annotations

import pytest

from meristem.errors import CallError, Code


async def test_replies_arrive_one_by_one_and_end(wire):
    _, client = await wire.pair()

    replies = [number async for number in await client.call(wire.call("count", until=500))]

    assert replies == list(range(500))


async def test_replies_of_every_type_come_back_as_they_were_sent(wire):
    _, client = await wire.pair()
    call = wire.call("copies", **wire.everything())

    replies = [reply async for reply in await client.call(call)]

    assert replies == [call.request, call.request]


async def test_a_fault_ends_a_stream_after_what_came_before(wire):
    _, client = await wire.pair()
    replies = await client.call(wire.call("count", until=-3))

    assert [await anext(replies) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(wire.RoomTaken) as caught:
        await anext(replies)

    assert caught.value.hotel_id == -3


async def test_closing_a_stream_early_cancels_the_work_at_the_server(wire):
    _, client = await wire.pair()
    replies = await client.call(wire.call("count", until=10**9))

    assert await anext(replies) == 0
    await replies.aclose()

    await wire.within(wire.handlers.cancelled.wait())
    assert client.in_flight == 0


async def test_a_stream_to_a_stopped_server_is_unavailable(wire):
    server, client = await wire.pair()
    await server.stop()

    with pytest.raises(CallError) as caught:
        await anext(await client.call(wire.call("count", until=1)))

    assert (caught.value.code, caught.value.may_have_happened) == (Code.UNAVAILABLE, False)


async def test_unary_calls_and_streams_share_connections(wire):
    server, client = await wire.pair()

    for _ in range(3):
        assert [each async for each in await client.call(wire.call("count", until=2))] == [0, 1]
        assert await client.call(wire.call("blob", data=b"x")) == b"x"

    assert server.connections == 1
