"""The connectrpc client of PyPI calls a Meristem server in both encodings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf import json_format

connectrpc = pytest.importorskip("connectrpc", reason="pip install connectrpc")

from connectrpc.client import ConnectClient  # noqa: E402
from connectrpc.code import Code  # noqa: E402
from connectrpc.errors import ConnectError  # noqa: E402
from connectrpc.method import IdempotencyLevel, MethodInfo  # noqa: E402

TOKEN = {"meristem-token": "partner"}


class Json:
    """ProtoJSON by google.protobuf."""

    def name(self) -> str:
        return "json"

    def encode(self, message: Any) -> bytes:
        return json_format.MessageToJson(message).encode()

    def decode(self, data: bytes, message_class: Any) -> Any:
        return json_format.Parse(bytes(data), message_class())


class Binary:
    """Binary protobuf by google.protobuf."""

    def name(self) -> str:
        return "proto"

    def encode(self, message: Any) -> bytes:
        return bytes(message.SerializeToString())

    def decode(self, data: bytes, message_class: Any) -> Any:
        return message_class.FromString(bytes(data))


@pytest.fixture(params=[Json, Binary], ids=["json", "proto"])
async def client(request, served):
    async with ConnectClient(served.url, codec=request.param()) as opened:
        yield opened


def method(served: Any, name: str) -> Any:
    known = served.operations[name]
    return MethodInfo(
        name=known.wire_name,
        service_name=known.contract,
        input=served.proto.request_class(known),
        output=served.proto.reply_class(known),
        idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS,
        stream_type=None,
    )


@pytest.mark.parametrize("use_get", [False, True])
async def test_a_message_comes_back_as_it_was_sent(served, client, use_get):
    sent = served.message()

    reply = await client.execute_unary(request=sent, method=method(served, "echo"), use_get=use_get)

    assert reply == sent


async def test_a_large_message_is_compressed_both_ways(served, client):
    sent = served.message(city="x" * 1_000_000)

    assert await client.execute_unary(request=sent, method=method(served, "echo")) == sent


async def test_a_fault_is_its_code_message_and_detail(served, client):
    with pytest.raises(ConnectError) as caught:
        await client.execute_unary(request=served.message(city="Gone"), method=method(served, "echo"))

    assert (caught.value.code, caught.value.message) == (Code.NOT_FOUND, "The quote is gone.")
    assert [detail.type_name for detail in caught.value.details] == ["interop.quotes.v1.Gone"]
    assert caught.value.details[0].message_bytes == b"\x08" + b"\x80" * 8 + b"\x10"  # 2**60 in the first field


async def test_violations_are_a_bad_request_detail(served, client):
    with pytest.raises(ConnectError) as caught:
        await client.execute_unary(request=served.message(city="Odd"), method=method(served, "echo"))

    detail = caught.value.details[0]
    assert (caught.value.code, detail.type_name) == (Code.INVALID_ARGUMENT, "google.rpc.BadRequest")
    assert detail.message_bytes == b"\x0a\x0e\x0a\x04city\x12\x06is odd"


async def test_a_deadline_reaches_the_server_and_its_end_cancels_the_work(served, client):
    await client.execute_unary(request=served.message(), method=method(served, "echo"), timeout_ms=60_000)
    waiting = method(served, "wait")

    while not served.began.is_set():  # on a slow machine the time may be over before the work begins
        with pytest.raises(ConnectError) as caught:
            await client.execute_unary(request=waiting.input(), method=waiting, timeout_ms=200)
        assert caught.value.code is Code.DEADLINE_EXCEEDED

    assert 30 < served.deadlines[0] <= 60
    await asyncio.wait_for(served.cancelled.wait(), 60)


async def test_a_stream_arrives_and_its_error_too(served, client):
    count = method(served, "count")

    replies = [each.result async for each in client.execute_server_stream(request=count.input(until=5), method=count)]
    broken = client.execute_server_stream(request=count.input(until=101), method=count)
    for _ in range(101):
        await anext(broken)

    assert replies == [0, 1, 2, 3, 4]
    with pytest.raises(ConnectError) as caught:
        await anext(broken)
    assert caught.value.code is Code.NOT_FOUND


async def test_an_internal_operation_is_denied_with_the_way_out(served, client):
    internal = method(served, "internal")

    with pytest.raises(ConnectError, match="meristem-token") as caught:
        await client.execute_unary(request=internal.input(), method=internal)

    assert caught.value.code is Code.PERMISSION_DENIED


async def test_a_client_s_stream_is_read_and_answered_once(served, client):
    total = method(served, "total")

    async def quotes() -> AsyncIterator[Any]:
        for number in range(1000):
            yield served.message(hotel_id=number)

    reply = await client.execute_client_stream(request=quotes(), method=total, headers=TOKEN)

    assert reply.result == 499_500


async def test_a_client_s_stream_is_answered_early_by_a_fault(served, client):
    total = method(served, "total")

    async def quotes() -> AsyncIterator[Any]:
        yield served.message(hotel_id=2)
        yield served.message(city="Gone")
        for _ in range(1000):
            yield served.message()

    with pytest.raises(ConnectError) as caught:
        await client.execute_client_stream(request=quotes(), method=total, headers=TOKEN)

    assert (caught.value.code, caught.value.message) == (Code.NOT_FOUND, "The quote is gone.")


async def test_an_item_that_does_not_fit_is_an_invalid_argument(served, client):
    total = method(served, "total")

    async def quotes() -> AsyncIterator[Any]:
        yield served.message()
        yield total.input()

    with pytest.raises(ConnectError) as caught:
        await client.execute_client_stream(request=quotes(), method=total, headers=TOKEN)

    assert caught.value.code is Code.INVALID_ARGUMENT


async def test_streams_on_both_sides_are_refused_over_http_1_with_the_way_out(served, client):
    chat = method(served, "chat")

    async def words() -> AsyncIterator[Any]:
        yield chat.input(words="hello")

    with pytest.raises(ConnectError, match="HTTP/1.1 has no way for: call it by gRPC") as caught:
        async for _ in client.execute_bidi_stream(request=words(), method=chat, headers=TOKEN):
            pass

    assert caught.value.code is Code.UNIMPLEMENTED


async def test_a_client_s_stream_is_internal_unless_a_token_says_otherwise(served, client):
    total = method(served, "total")

    async def quotes() -> AsyncIterator[Any]:
        yield served.message()

    with pytest.raises(ConnectError, match="meristem-token") as caught:
        await client.execute_client_stream(request=quotes(), method=total)

    assert caught.value.code is Code.PERMISSION_DENIED
