"""Server streams by gRPC."""

import asyncio

import grpc
import msgspec
import pytest

from meristem.errors import CallError, Code
from tests.suites.shop import Everything, RoomTaken


async def test_items_arrive_one_after_the_other(shop):
    server, client = await shop.pair()
    count = shop.method(shop.stock(server), "count")

    ours = [each async for each in await client.call(shop.call("count", until=1000))]
    theirs = [each.result async for each in count(shop.request("count", until=5))]

    assert ours == list(range(1000))
    assert theirs == [0, 1, 2, 3, 4]


async def test_an_item_may_be_a_whole_message(shop):
    _, client = await shop.pair()
    sent = Everything(**shop.everything())

    assert [each async for each in await client.call(shop.call("copies", **shop.everything()))] == [sent, sent]


async def test_a_stream_may_break_off_with_a_fault(shop):
    server, client = await shop.pair()
    items, found = await client.call(shop.call("count", until=-2)), []

    with pytest.raises(RoomTaken) as caught:
        async for each in items:
            found.append(each)  # noqa: PERF401 - what came before the fault counts
    stock = shop.method(shop.stock(server), "count")(shop.request("count", until=-2))
    await shop.within(stock.read())
    await shop.within(stock.read())

    assert (found, caught.value.hotel_id) == ([0, 1], -2)
    assert (await shop.failed(stock.read())).code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_who_leaves_early_ends_the_stream_at_the_service(shop):
    _, client = await shop.pair()
    items = await client.call(shop.call("count", until=10**9))
    assert await anext(items) == 0

    await items.aclose()

    await shop.within(shop.handlers.cancelled.wait())
    assert client.in_flight == 0


async def test_a_client_that_reads_nothing_holds_the_service_back(shop):
    """The window of a stream is 64 KiB: without it, the service would make all items, and the server keep them."""
    made = 0

    async def copies(value):
        nonlocal made
        while True:
            made += 1
            yield msgspec.structs.replace(value, note="x" * 10_000)

    async def begun(value):
        return copies(value)

    shop.handlers.copies = begun
    _, client = await shop.pair()
    items = await client.call(shop.call("copies", **shop.everything()))
    await anext(items)

    seen = -1
    while made != seen:
        seen = made
        await asyncio.sleep(0.2)

    assert made < 5_000
    await items.aclose()


async def test_a_stream_that_may_not_be_called_is_refused(shop):
    server = await shop.server(secured=True, public=True)
    client = shop.client(server)

    with pytest.raises(CallError) as caught:
        await anext(await client.call(shop.call("copies", **shop.everything())))

    assert caught.value.code is Code.PERMISSION_DENIED
