"""Unary calls between Meristem's own client and server."""

from __future__ import annotations

import asyncio
import time
from datetime import date

import pytest

from meristem.context import Context, Trace, Unseen
from meristem.errors import CallError, Code
from meristem.resilience.limits import ClientLimits


@pytest.mark.parametrize("address", ["", "tcp://127.0.0.1:0"])
async def test_a_message_comes_back_as_it_was_sent(wire, address):
    _, client = await wire.pair(address)
    call = wire.call("echo", **wire.everything())

    reply = await client.call(call)

    assert reply == call.request


async def test_replies_that_are_no_messages_arrive_as_their_type(wire):
    _, client = await wire.pair()

    assert await client.call(wire.call("blob", data=b"\x00abc")) == b"\x00abc"
    assert await client.call(wire.call("cancel", booking_id="b1")) is None
    assert [each.city for each in await client.call(wire.call("stays", hotel_id=1, tags=["a", "b"]))] == ["a", "b"]


async def test_a_declared_fault_arrives_as_its_class_with_its_fields(wire):
    _, client = await wire.pair()

    with pytest.raises(wire.RoomTaken) as caught:
        await client.call(wire.call("book", hotel_id=7, city="Full", arrival=date(2030, 1, 2)))

    assert caught.value.values() == {"hotel_id": 7, "since": date(2030, 1, 2)}


async def test_a_fault_of_a_subclass_arrives_as_the_class_that_is_declared(wire):
    _, client = await wire.pair()

    with pytest.raises(wire.RoomTaken) as caught:
        await client.call(wire.call("book", hotel_id=7, city="Suite", arrival=date(2030, 1, 2)))

    assert (type(caught.value), caught.value.values()) == (wire.RoomTaken, {"hotel_id": 7, "since": None})


async def test_an_undeclared_exception_tells_the_caller_nothing_and_is_logged_once(wire, caplog):
    _, client = await wire.pair()

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("book", hotel_id=7, city="Bug", arrival=date(2030, 1, 2)))

    assert caught.value.code is Code.INTERNAL
    assert "secret" not in str(caught.value)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]


async def test_a_call_error_keeps_everything_it_says(wire):
    _, client = await wire.pair()

    with pytest.raises(CallError) as busy:
        await client.call(wire.call("book", hotel_id=7, city="Busy", arrival=date(2030, 1, 2)))
    with pytest.raises(CallError) as odd:
        await client.call(wire.call("book", hotel_id=7, city="Odd", arrival=date(2030, 1, 2)))

    assert (busy.value.code, busy.value.message) == (Code.RESOURCE_EXHAUSTED, "busy")
    assert (busy.value.may_have_happened, busy.value.retry_after) == (False, 1.5)
    assert not odd.value.may_have_happened
    assert [(each.field, each.reason) for each in odd.value.violations] == [
        ("city", "is odd"),
        ("guest.name", "is missing"),
    ]


async def test_a_request_that_does_not_fit_is_refused_with_its_field(wire):
    _, client = await wire.pair()

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("book", hotel_id="seven", city="Rome", arrival=date(2030, 1, 2)))

    assert caught.value.code is Code.INVALID_ARGUMENT
    assert not caught.value.may_have_happened
    assert caught.value.violations[0].field == "hotel_id"


async def test_a_request_that_cannot_be_written_never_leaves(wire):
    _, client = await wire.pair()

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("blob", data=2**70))

    assert (caught.value.code, caught.value.may_have_happened) == (Code.INVALID_ARGUMENT, False)


async def test_deadline_trace_and_key_travel(wire):
    _, client = await wire.pair()
    trace = Trace.start(sampled=True)

    await client.call(wire.call("describe", Context(time.monotonic() + 300, trace, key="k1")))

    seen = wire.handlers.contexts[-1]
    assert 200 < seen.remaining() <= 300
    assert (seen.trace.header(), seen.trace.foreign) == (trace.header(), True)  # nobody proved to be of the system
    assert seen.key == "k1"


async def test_a_trace_that_nobody_has_seen_gets_its_ids_when_it_is_sent(wire):
    _, client = await wire.pair()
    trace = Unseen()

    await client.call(wire.call("describe", Context(trace=trace)))
    await client.call(wire.call("describe", Context(trace=trace)))

    first, second = (seen.trace.header() for seen in wire.handlers.contexts[-2:])
    assert first == second == trace.header()


@pytest.mark.parametrize("key", ["k\r\nmeristem-token: x", "schlüssel"])
async def test_a_key_that_is_no_header_is_refused_before_it_is_sent(wire, key):
    _, client = await wire.pair()

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("describe", Context(key=key)))

    assert (caught.value.code, caught.value.may_have_happened) == (Code.INVALID_ARGUMENT, False)


@pytest.mark.parametrize("token", [None, "search/anna", "web"])
async def test_a_head_that_is_recognized_means_what_it_meant_when_it_was_parsed(wire, token):
    server = await wire.server(secured=True)
    client = wire.client(server, sign=None if token is None else lambda _context: token)

    for number in range(4):
        trace = Trace.start() if number % 2 else None
        context = Context(time.monotonic() + 60 + number if number > 1 else None, trace, key=f"key {number}")
        await client.call(wire.call("cancel", context, booking_id="7"))
        seen = wire.handlers.contexts[-1]
        assert (seen.trace and seen.trace.header(), seen.key) == (trace and trace.header(), f"key {number}")
        assert seen.trace is None or seen.trace.foreign == (token is None)
        assert seen.caller == (token and token.partition("/")[0])
        assert (seen.user and seen.user.subject) == ("anna" if token == "search/anna" else None)
        assert (seen.deadline is None) == (number <= 1)


async def test_a_call_past_its_deadline_is_not_sent(wire):
    _, client = await wire.pair()

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("describe", Context(time.monotonic() - 1)))

    assert (caught.value.code, caught.value.may_have_happened) == (Code.DEADLINE_EXCEEDED, False)
    assert wire.handlers.contexts == []


async def test_a_token_says_who_calls_and_for_whom(wire):
    server = await wire.server(secured=True)
    client = wire.client(server, sign=lambda _context: "search/anna")

    assert await client.call(wire.call("describe")) == {"caller": "search", "user": "anna", "key": ""}


@pytest.mark.parametrize("token", [None, "mallory/anna"])
async def test_without_a_valid_token_an_internal_operation_is_refused_and_a_public_one_is_anonymous(wire, token):
    server = await wire.server(secured=True)
    client = wire.client(server, sign=None if token is None else lambda _context: token)

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("describe"))
    await client.call(wire.call("stays", hotel_id=1))

    assert caught.value.code is Code.PERMISSION_DENIED
    assert not caught.value.may_have_happened
    assert "meristem-token" in caught.value.message
    assert (wire.handlers.contexts[-1].user, wire.handlers.contexts[-1].caller) == (None, None)


async def test_sixteen_mebibytes_go_both_ways(wire):
    _, client = await wire.pair()
    data = bytes(range(256)) * (16 * 4096)

    assert await client.call(wire.call("blob", data=data)) == data


async def test_a_request_above_the_limit_is_refused_and_the_server_stays_up(wire):
    _, client = await wire.pair(body_bytes=1000)

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("blob", data=bytes(2000)))

    assert caught.value.code is Code.INVALID_ARGUMENT
    assert await client.call(wire.call("blob", data=b"x")) == b"x"


async def test_cancelling_a_call_cancels_the_work_at_the_server_and_the_client_stays_usable(wire):
    _, client = await wire.pair()
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())
    assert client.in_flight == 1

    calling.cancel()

    await wire.within(wire.handlers.cancelled.wait())
    assert client.in_flight == 0
    assert await client.call(wire.call("blob", data=b"x")) == b"x"


async def test_a_refused_connection_certainly_did_not_happen(wire, tmp_path):
    server, client = await wire.pair()
    await server.stop()

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("describe"))

    assert (caught.value.code, caught.value.may_have_happened) == (Code.UNAVAILABLE, False)
    assert str(client.address) in caught.value.message


async def test_a_connection_lost_while_waiting_may_have_happened(wire):
    server, client = await wire.pair()
    calling = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())

    await server.stop()

    with pytest.raises(CallError) as caught:
        await calling
    assert (caught.value.code, caught.value.may_have_happened) == (Code.UNAVAILABLE, True)
    assert wire.handlers.cancelled.is_set()


async def test_calls_beyond_the_pool_wait_their_turn_in_order(wire):
    server = await wire.server()
    client = wire.client(server, limits=ClientLimits(connections=2))
    done: list[int] = []

    async def one(number: int) -> None:
        await client.call(wire.call("blob", data=b"x"))
        done.append(number)

    await asyncio.gather(*(one(number) for number in range(20)))

    assert sorted(done) == list(range(20))
    assert server.connections == 2


async def test_a_waiting_call_that_is_cancelled_passes_its_turn_on(wire):
    server = await wire.server()
    client = wire.client(server, limits=ClientLimits(connections=1))
    first = asyncio.create_task(client.call(wire.call("wait")))
    await wire.within(wire.handlers.started.wait())
    second = asyncio.create_task(client.call(wire.call("describe")))
    third = asyncio.create_task(client.call(wire.call("describe")))
    await asyncio.sleep(0)

    second.cancel()
    wire.handlers.release.set()

    await first
    await third
    assert second.cancelled() or second.cancelling()
