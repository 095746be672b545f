"""Requests that are streams, where it does not matter which wire they take: retries, sagas, tests, schemas."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from meristem import Call, CallError, Code, Context, Contract, MisuseError, Service, System, idempotent, operation, safe
from meristem.contracts.contract import operations
from meristem.contracts.items import GivenItems
from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.contracts.protobuf.proto_text import proto_text
from meristem.resilience.balancer import Balancer
from meristem.resilience.retry import RetryBudget, Retrying
from meristem.sagas.commands import step_of_operation
from meristem.testing import running


class Belt(Contract, Protocol, package="belts.v1"):
    @safe
    async def total(self, numbers: AsyncIterator[int]) -> int: ...

    @idempotent
    async def first(self, numbers: AsyncIterator[int]) -> int: ...

    @operation
    def echo(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]: ...


class BeltService(Belt, Service):
    def __init__(self) -> None:
        self.met: list[str] = []

    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    async def first(self, numbers: AsyncIterator[int]) -> int:
        async def read_on() -> None:
            try:
                await anext(numbers)
            except CallError as error:
                self.met.append(error.code.value)

        found = await anext(numbers)
        self.left_behind = asyncio.ensure_future(read_on())
        await asyncio.sleep(0)
        return found

    async def echo(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number


KNOWN = operations(Belt)
SYSTEM = System("belts", services=[BeltService])
BOTH = pytest.mark.parametrize("where", ["local", "wire"])


async def upto(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


class Replica:
    """Takes so many items of each call, and fails the first of the calls."""

    def __init__(self, address: str, takes: int) -> None:
        self.address = address
        self.in_flight = 0
        self.takes = takes
        self.calls = 0

    async def handler(self, call: Call) -> list[Any]:
        self.calls += 1
        found = [(await anext(call.request)).numbers for _ in range(self.takes)]
        if self.calls == 1:
            error = CallError(Code.UNAVAILABLE, "down", may_have_happened=False)
            error.origin = self.address
            raise error
        return [*found, *[each.numbers async for each in call.request]]


def made(name: str = "total") -> Call:
    return Call(KNOWN[name], GivenItems(KNOWN[name], upto(3)), Context())


@pytest.mark.parametrize("name", ["total", "echo"])
async def test_a_stream_is_repeated_while_no_item_was_taken_and_never_after(name):
    async def sleep(_: float) -> None: ...

    budget = RetryBudget("belt")
    fresh, begun = Replica("a", takes=0), Replica("a", takes=1)
    retried = Retrying(KNOWN[name], budget, sleep=sleep).middleware(fresh.handler)
    assert await retried(made(name)) == [0, 1, 2]
    with pytest.raises(CallError, match="down"):
        await Retrying(KNOWN[name], budget, sleep=sleep).middleware(begun.handler)(made(name))
    assert (fresh.calls, begun.calls) == (2, 1)


async def test_an_attempt_that_takes_nothing_leaves_all_items_to_the_next():
    first = made()
    await first.request.aclose()

    assert (first.repeatable, [each.numbers async for each in first.request]) == (True, [0, 1, 2])


@pytest.mark.parametrize(("takes", "tried"), [(0, 2), (1, 1)])
async def test_another_replica_gets_a_stream_whose_items_are_all_there_still(takes, tried):
    replicas = [Replica("a", takes), Replica("b", takes)]
    with pytest.raises(CallError, match="down"):
        await Balancer("belt", replicas).handler(made())
    assert sum(each.calls for each in replicas) == tried


async def test_a_task_that_a_method_leaves_behind_is_told_that_the_items_are_over():
    """Also where it waits for one of them when the call ends."""
    ended, more = asyncio.Event(), asyncio.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            await more.wait()
            yield 2
            yield 3
        finally:
            ended.set()

    async with running(SYSTEM, where="local") as app:
        assert await app.client(Belt).first(numbers()) == 1
        more.set()
        await app.service(BeltService).left_behind
        assert ended.is_set()


@BOTH
async def test_the_items_of_a_call_that_a_test_looks_at_are_for_the_callee_alone(where):
    async with running(SYSTEM, where=where) as app:
        assert await app.client(Belt).total(upto(3)) == 3
        assert [each async for each in app.client(Belt).echo(upto(2))] == [0, 1]
        [total], [echo] = app.sent(Belt.total), app.sent(Belt.echo)
        assert (total.arguments, total.reply) == ((None,), 3)
        assert (echo.arguments, echo.reply) == ((None,), None)


@BOTH
async def test_a_fake_takes_a_stream(where):
    class Counting:
        async def total(self, numbers: AsyncIterator[int]) -> int:
            return len([each async for each in numbers])

    async with running(SYSTEM, where=where, fakes={Belt: Counting()}) as app:
        assert await app.client(Belt).total(upto(5)) == 5
        with pytest.raises(CallError, match=r"Counting fakes Belt without first\(\)"):
            await app.client(Belt).first(upto(1))


def test_a_saga_refuses_to_send_a_stream_and_says_what_to_do():
    for name in ("total", "first"):
        with pytest.raises(MisuseError, match=rf"Belt\.{name} takes a stream, .* run that by flow\.step\(\)"):
            step_of_operation(KNOWN[name])


def test_a_proto_file_says_which_side_streams():
    text = proto_text(KNOWN.values())
    service = ProtoCodec(KNOWN.values()).request_class(KNOWN["echo"]).DESCRIPTOR.file.services_by_name["Belt"]

    assert "rpc Total(stream BeltTotalRequest) returns (BeltTotalReply)" in text.replace(
        "TotalResponse", "BeltTotalReply"
    )
    assert "rpc Echo(stream BeltEchoRequest) returns (stream " in text
    assert service.methods_by_name["Echo"].client_streaming
    assert service.methods_by_name["Echo"].server_streaming
    assert not service.methods_by_name["Total"].server_streaming
