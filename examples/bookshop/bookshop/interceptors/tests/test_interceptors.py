"""Both halves, in front of a server of grpcio that knows nothing of Meristem, each kind of method."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import pytest
from bookshop import monitoring
from bookshop.interceptors.client import client_interceptors
from bookshop.interceptors.server import Monitored
from bookshop.interceptors.statuses import STATUSES, label_of, level_of, status_of
from grpc import aio

ERRORS = {
    b"missing": (KeyError("isbn 9780141439"), grpc.StatusCode.NOT_FOUND, logging.INFO),
    b"wrong": (ValueError("no such month"), grpc.StatusCode.INVALID_ARGUMENT, logging.INFO),
    b"late": (TimeoutError(), grpc.StatusCode.DEADLINE_EXCEEDED, logging.WARNING),
    b"away": (ConnectionRefusedError("10.0.0.7:5432"), grpc.StatusCode.UNAVAILABLE, logging.WARNING),
    b"bug": (AttributeError("'NoneType' has no title"), grpc.StatusCode.INTERNAL, logging.ERROR),
}


async def answer(request: bytes, context: Any) -> bytes:
    if request == b"refused":
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the desk is closed")
    if request in ERRORS:
        raise ERRORS[request][0]
    return b"here you are"


async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"first"
    yield await answer(request, context)


async def collect(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return b" ".join([await answer(each, context) async for each in requests])


async def exchange(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for each in requests:
        yield await answer(each, context)


def plain(_request: bytes, _context: Any) -> bytes:
    return b"from a thread"


METHODS = {
    "Answer": grpc.unary_unary_rpc_method_handler(answer),
    "Stream": grpc.unary_stream_rpc_method_handler(stream),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Exchange": grpc.stream_stream_rpc_method_handler(exchange),
    "Plain": grpc.unary_unary_rpc_method_handler(plain),
}


@asynccontextmanager
async def serving(*interceptors: Any) -> AsyncIterator[str]:
    """A desk at which everything goes wrong, behind these interceptors."""
    server = aio.server(interceptors=interceptors)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Desk", METHODS),))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield target
    await server.stop(None)


async def items(*each: bytes) -> AsyncIterator[bytes]:
    for one in each:
        yield one


async def unary(channel: aio.Channel, request: bytes) -> bytes:
    return await channel.unary_unary("/shop.v1.Desk/Answer")(request)


async def from_stream(channel: aio.Channel, request: bytes) -> list[bytes]:
    return [each async for each in channel.unary_stream("/shop.v1.Desk/Stream")(request)]


async def of_stream(channel: aio.Channel, request: bytes) -> bytes:
    return await channel.stream_unary("/shop.v1.Desk/Collect")(items(b"one", request))


async def of_both(channel: aio.Channel, request: bytes) -> list[bytes]:
    return [each async for each in channel.stream_stream("/shop.v1.Desk/Exchange")(items(b"one", request))]


class Kind(NamedTuple):
    """How a method of one kind is called, what it is named, and what it answers when nothing is wrong."""

    call: Callable[[aio.Channel, bytes], Any]
    label: str
    good: Any


KINDS = [
    Kind(unary, "Desk.Answer", b"here you are"),
    Kind(from_stream, "Desk.Stream", [b"first", b"here you are"]),
    Kind(of_stream, "Desk.Collect", b"here you are here you are"),
    Kind(of_both, "Desk.Exchange", [b"here you are", b"here you are"]),
]


@pytest.mark.parametrize("kind", KINDS, ids=[each.label for each in KINDS])
async def test_the_server_answers_by_statuses_and_keeps_what_happened_in_its_log(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Monitored()) as target, aio.insecure_channel(target) as channel:
        for request, (error, code, level) in ERRORS.items():
            caplog.clear()
            with caplog.at_level(logging.INFO, "bookshop.interceptors"), pytest.raises(aio.AioRpcError) as raised:
                await kind.call(channel, request)
            assert (raised.value.code(), raised.value.details()) == (code, f"{kind.label} failed; the log says why")
            (line,) = caplog.records
            assert (line.getMessage(), line.levelno) == (f"{kind.label} answered {code.name}", level)
            assert line.exc_info is not None
            assert line.exc_info[1] is error
        caplog.clear()
        assert await kind.call(channel, b"well") == kind.good
    assert [each for each in caplog.records if each.name.startswith("bookshop")] == []


async def test_a_status_of_the_method_s_own_stays_what_it_is(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Monitored()) as target, aio.insecure_channel(target) as channel:
        with caplog.at_level(logging.INFO, "bookshop.interceptors"), pytest.raises(aio.AioRpcError) as raised:
            await unary(channel, b"refused")
    assert (raised.value.code(), raised.value.details()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "the desk is closed",
    )
    assert [each.getMessage() for each in caplog.records] == [
        "Desk.Answer answered FAILED_PRECONDITION: the desk is closed"
    ]


async def test_what_nobody_serves_stays_unimplemented() -> None:
    async with serving(Monitored()) as target, aio.insecure_channel(target) as channel:
        with pytest.raises(aio.AioRpcError) as raised:
            await channel.unary_unary("/shop.v1.Desk/Nothing")(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_method_that_would_hold_up_the_others_is_not_served(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Monitored()) as target, aio.insecure_channel(target) as channel:
        with pytest.raises(aio.AioRpcError) as raised:
            await channel.unary_unary("/shop.v1.Desk/Plain")(b"")
    assert raised.value.code() is grpc.StatusCode.UNKNOWN
    assert "Desk.Plain is a plain function: write `async def`" in caplog.text


@pytest.mark.parametrize("kind", KINDS, ids=[each.label for each in KINDS])
async def test_the_client_logs_what_a_call_failed_with(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(Monitored()) as target,
        aio.insecure_channel(target, interceptors=client_interceptors()) as channel,
    ):
        for request, (_, code, level) in ERRORS.items():
            caplog.clear()
            with caplog.at_level(logging.INFO, "bookshop.interceptors.client"):
                with pytest.raises(aio.AioRpcError) as raised:
                    await kind.call(channel, request)
                assert raised.value.code() is code
            line = next(each for each in caplog.records if each.name == "bookshop.interceptors.client")
            assert line.getMessage().startswith(f"{kind.label} was answered {code.name} after ")
            assert line.levelno == level
        assert await kind.call(channel, b"well") == kind.good


class Broken(aio.UnaryUnaryClientInterceptor):
    """A neighbour with a bug, nearer to the wire."""

    async def intercept_unary_unary(self, _continuation: Any, _details: Any, _request: Any) -> Any:
        raise ConnectionResetError("the proxy has gone")


async def test_what_goes_wrong_on_the_caller_s_side_is_a_status_too(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving() as target,
        aio.insecure_channel(target, interceptors=[*client_interceptors(), Broken()]) as channel,
    ):
        with caplog.at_level(logging.INFO, "bookshop.interceptors"), pytest.raises(aio.AioRpcError) as raised:
            await unary(channel, b"well")
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "the proxy has gone" in str(raised.value.details())
    assert "Desk.Answer failed as UNAVAILABLE before it had an answer" in caplog.text


async def test_a_server_that_is_away_is_logged_with_its_status(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as target:
        pass
    async with aio.insecure_channel(target, interceptors=client_interceptors()) as channel:
        with caplog.at_level(logging.INFO, "bookshop.interceptors"), pytest.raises(aio.AioRpcError) as raised:
            await unary(channel, b"well")
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "Desk.Answer was answered UNAVAILABLE after " in caplog.text


async def test_who_gives_up_is_no_failure_of_the_call(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()

    async def sleep(_request: bytes, _context: Any) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return b""

    server = aio.server(interceptors=[Monitored()])
    handlers = {"Answer": grpc.unary_unary_rpc_method_handler(sleep)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Desk", handlers),))
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with aio.insecure_channel(target, interceptors=client_interceptors()) as channel:
        with caplog.at_level(logging.DEBUG, "bookshop.interceptors"):
            call = asyncio.ensure_future(unary(channel, b"well"))
            await begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    await server.stop(None)
    assert caplog.records == []


def test_the_table_is_that_of_the_middleware() -> None:
    """A caller is told the same, whichever of the two stands in front of what it asks for."""
    theirs = {kind: code.name for kind, code in monitoring.STATUSES}
    assert {kind: code.name for kind, code in STATUSES} == theirs
    assert [kind for kind, _ in STATUSES] == [kind for kind, _ in monitoring.STATUSES]
    assert status_of(ZeroDivisionError()) is grpc.StatusCode.INTERNAL
    assert level_of(grpc.StatusCode.UNKNOWN) == logging.ERROR


def test_a_method_is_called_by_its_service_and_its_name() -> None:
    assert label_of("/shop.v1.Desk/Answer") == "Desk.Answer"
    assert label_of(b"/Recommendations/Recommend") == "Recommendations.Recommend"
