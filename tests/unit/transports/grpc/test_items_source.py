"""One task reads the items of an RPC while another one answers: only one of them sends what begins the answer."""

import asyncio

import pytest
from grpc import aio

from meristem.transports.grpc.items_source import ItemsSource


class Rpc:
    """grpcio's context: what it is asked to send is under way until `go`, and two things at a time break it."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.sent: list[object] = []
        self.under_way = False
        self.is_gone = False

    async def send_initial_metadata(self, fields: object) -> None:
        await self.write(fields)

    async def write(self, body: object) -> None:
        assert not self.under_way, "TOO_MANY_OPERATIONS"
        self.under_way = True
        await self.go.wait()
        if self.is_gone:
            raise aio.InternalError("no client")
        self.sent.append(body)
        self.under_way = False


async def begun(awaitable):
    task = asyncio.ensure_future(awaitable)
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_a_reply_waits_for_headers_that_are_under_way():
    rpc = Rpc()
    source = ItemsSource(rpc)
    headers = await begun(source.send_headers())
    reply = await begun(source.write(b"reply"))

    rpc.go.set()
    await asyncio.gather(headers, reply)

    assert rpc.sent == [(), b"reply"]


async def test_headers_are_not_sent_while_the_first_reply_is_under_way():
    rpc = Rpc()
    source = ItemsSource(rpc)
    reply = await begun(source.write(b"reply"))

    with pytest.raises(aio.UsageError):
        await source.send_headers()
    rpc.go.set()
    await reply

    assert rpc.sent == [b"reply"]


async def test_who_is_cancelled_while_headers_are_sent_leaves_them_under_way():
    rpc = Rpc()
    source = ItemsSource(rpc)
    headers = await begun(source.send_headers())

    headers.cancel()
    settled = await begun(source.settle())

    assert headers.cancelled()
    assert not settled.done()
    rpc.go.set()
    await settled
    assert rpc.sent == [()]


async def test_a_client_that_has_gone_is_told_once():
    rpc = Rpc()
    rpc.is_gone = True
    source = ItemsSource(rpc)
    headers = await begun(source.send_headers())

    rpc.go.set()

    with pytest.raises(aio.InternalError):
        await headers
    await source.settle()
