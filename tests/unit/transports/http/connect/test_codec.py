"""Codecs of the Connect protocol: requests become calls, replies and errors become responses."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import time
import tracemalloc
from threading import get_ident
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from meristem.context import Context, Identity, Trace
from meristem.contracts.call import ServedOperation
from meristem.errors import CallError, Code, MisuseError
from meristem.resilience.limits import Limits
from meristem.transports.errors import fault_type
from meristem.transports.http import compression
from meristem.transports.http.address import Address
from meristem.transports.http.compression import unpacked
from meristem.transports.http.connect.codec import ConnectRequest, OwnRequest
from meristem.transports.http.connect.errors import read_unary_error
from meristem.transports.http.connect.interface import Route
from meristem.transports.http.connect.ownhead import RequestForm, own_lines
from meristem.transports.http.request import Request
from meristem.transports.http.server.head import read_head
from meristem.transports.http.server.headcache import HeadCache

LIMIT = 4000
MIB = 1024 * 1024


async def nothing(_call):
    return None


@pytest.fixture
def route(wire):
    return Route(ServedOperation(wire.operations["book"], nothing), Limits(body_bytes=LIMIT))


def request_of(data: bytes) -> Request:
    return read_head(data[: data.index(b"\r\n\r\n") + 4], Limits())


STAY = b'{"hotel_id":1,"city":"Rome","arrival":"2030-01-02"}'
SURROUNDED = Context(
    trace=Trace("ab" * 16, "cd" * 8, True, "a=b"), baggage="codec.locale=de,codec.tenant=a%20b", key="k-1"
)


class Service(NamedTuple):
    """Who stands behind a token of the system."""

    service: str = "search"
    user: Identity | None = None


@pytest.mark.parametrize("token", [None, "search/anna"])
def test_what_the_client_writes_the_server_recognizes_without_a_parser(wire, route, token):
    sign = None if token is None else lambda _context: token
    form = RequestForm(wire.operations["book"], Address.parse("unix:/run/x"), sign)
    request = form.request(replace(SURROUNDED, deadline=time.monotonic() + 5), STAY)
    cache = HeadCache()
    assert cache.recognize(request, LIMIT) is None

    cache.learn(request_of(request), route)
    known = cache.recognize(request, LIMIT)

    assert known is not None
    codec, read = known
    assert codec.read(read, Service(), None).context.baggage == SURROUNDED.baggage
    call = codec.read(read, None, None)
    assert call.context.baggage == ""  # nobody outside is believed
    assert (codec, read.token, call.request.city) == (route.own, token, "Rome")
    assert call.context.trace == Trace("ab" * 16, "cd" * 8, True, "a=b", foreign=True)
    assert call.context.key == "k-1"
    assert 4 < call.context.remaining() <= 5


def test_the_callers_own_header_fields_go_out_with_each_request(wire):
    lines = own_lines({"Authorization": "Bearer abc", "X-Region": "eu, us"})
    form = RequestForm(wire.operations["book"], Address.parse("unix:/x"), None, lines)
    for _ in range(2):
        request = request_of(form.request(Context(key="k"), STAY))
        assert request.head.get(b"authorization") == b"Bearer abc"
        assert request.head.get(b"x-region") == b"eu, us"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("", "x", "is no header field"),
        ("a b", "x", "is no header field"),
        ("a", "", "is no header field"),
        ("a", "b\r\nhost: evil", "is no header field"),
        ("a\r\nb", "c", "is no header field"),
        ("a", "ü", "is no header field"),
        ("Host", "evil", "written by the client itself"),
        ("Content-Length", "3", "written by the client itself"),
        ("Transfer-Encoding", "chunked", "written by the client itself"),
        ("Meristem-Token", "x", "written by the client itself"),
        ("Idempotency-Key", "x", "written by the client itself"),
        ("Connect-Timeout-Ms", "3", "written by the client itself"),
    ],
)
def test_what_is_no_header_field_of_the_callers_is_refused(name, value, said):
    with pytest.raises(MisuseError, match=said):
        own_lines({name: value})


def test_a_request_in_pieces_or_with_another_behind_it_is_left_to_the_parser(wire, route):
    request = RequestForm(wire.operations["book"], Address.parse("unix:/x"), None).request(Context(), STAY)
    cache = HeadCache()
    cache.learn(request_of(request), route)
    assert cache.recognize(request, LIMIT) is not None

    for other in (request[:-1], request + b"P", request.replace(b"content-length", b"x: y\r\ncontent-length")):
        assert cache.recognize(other, LIMIT) is None
    assert cache.recognize(request, len(STAY) - 1) is None


@pytest.mark.parametrize("baggage", ["a", "a=1\r\nmeristem-token: x", "a=1, b=2", "é=1", f"a={'b' * 5000}"])
def test_a_context_with_another_baggage_is_not_sent(wire, baggage):
    form = RequestForm(wire.operations["book"], Address.parse("unix:/x"), None)
    with pytest.raises(CallError, match="is no list of values that travel"):
        form.request(Context(baggage=baggage), STAY)


@pytest.mark.parametrize(
    "lines", [b"a=1\r\nbaggage: b=2", b"a=1, b=2", b"a=%zz", b"a=" + b"b" * 5000, b"", b"a=\xff", b"a=1;p", b"A=1"]
)
def test_a_list_that_no_client_of_ours_writes_counts_for_nothing_even_of_a_service(wire, route, lines):
    """Neither by the parser nor by what recognizes heads, and the call goes on."""
    sound = RequestForm(wire.operations["book"], Address.parse("unix:/x"), None).request(Context(baggage="a=1"), STAY)
    request, cache = sound.replace(b"baggage: a=1", b"baggage: " + lines), HeadCache()
    cache.learn(request_of(sound), route)
    known = cache.recognize(request, LIMIT)
    codec, read = known or route.received(request_of(request), STAY)

    assert cache.recognize(sound, LIMIT) is not None
    assert codec.read(read, Service(), None).context.baggage == ""


def test_heads_that_are_never_the_same_fill_no_memory(wire, route):
    request = RequestForm(wire.operations["book"], Address.parse("unix:/x"), None).request(Context(), STAY)
    cache = HeadCache()
    tracemalloc.start()

    for number in range(200):
        junk = b"x-number: %d%b\r\ncontent-type" % (number, b"a" * 60_000)
        cache.learn(request_of(request.replace(b"content-type", junk)), route)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 5 * MIB  # of twelve megabytes
    assert cache.recognize(request.replace(b"content-type", junk), LIMIT) is not None


def test_who_only_says_to_be_our_client_is_read_as_any_other(route):
    head = b"POST /x HTTP/1.1\r\nhost: x\r\nuser-agent: meristem/1\r\nconnect-timeout-ms: 5 seconds\r\n\r\n"

    codec, request = route.received(request_of(head), STAY)

    assert codec is route.other
    with pytest.raises(CallError, match="up to 10 digits"):
        codec.read(request, None, None)


def test_a_client_of_ours_is_read_exactly_and_others_by_the_mapping_of_protobuf(route):
    camel = STAY.replace(b"hotel_id", b"hotelId")

    call = route.other.read(ConnectRequest.of({}, camel), None, None)

    assert call.request.hotel_id == 1
    with pytest.raises(CallError, match="hotel_id: is required"):
        route.own.read(OwnRequest.of({}, camel), None, None)


def test_the_user_who_signed_in_is_in_the_context(route):
    anna = Identity("anna")

    for codec, kind in ((route.own, OwnRequest), (route.other, ConnectRequest)):
        assert codec.read(kind.of({}, STAY), None, anna).context.user == anna


def test_a_body_is_unpacked_within_the_limit(route):
    packed = {b"content-encoding": b"gzip"}

    assert route.other.read(ConnectRequest.of(packed, gzip.compress(STAY)), None, None).request.city == "Rome"
    with pytest.raises(CallError) as raised:
        route.other.read(ConnectRequest.of(packed, gzip.compress(b" " * (LIMIT + 1))), None, None)
    assert raised.value.code is Code.INVALID_ARGUMENT


def test_a_body_may_not_unpack_to_more_than_a_hundred_times_what_was_sent():
    bomb = gzip.compress(b" " * (2 * MIB))
    honest = bytes(range(256)) * 64 + b" " * (MIB + 1)  # 40 times what is sent of it

    assert unpacked(b"gzip", gzip.compress(b" " * MIB), 3 * MIB) == b" " * MIB
    assert unpacked(b"gzip", gzip.compress(honest + os.urandom(MIB // 50)), 3 * MIB)[: len(honest)] == honest
    with pytest.raises(CallError, match="more than 100 times") as raised:
        unpacked(b"gzip", bomb, 3 * MIB)
    assert raised.value.code is Code.INVALID_ARGUMENT


def test_a_body_of_too_many_values_is_refused_by_either_codec(wire):
    route = Route(ServedOperation(wire.operations["book"], nothing), Limits(body_values=50_000))
    many = STAY[:-1] + b',"other":[' + b"0," * 50_000 + b"0]}"

    for codec, kind in ((route.own, OwnRequest), (route.other, ConnectRequest)):
        with pytest.raises(CallError, match="more than 50000 values"):
            codec.read(kind.of({}, many), None, None)


def test_a_request_is_heavy_by_its_size_or_when_it_is_packed():
    proto = {b"content-type": b"application/proto"}

    assert not ConnectRequest.of({}, b" " * 65_536).heavy
    assert ConnectRequest.of({}, b" " * 65_537).heavy
    assert ConnectRequest.of(proto, b" " * 20_000).heavy
    assert ConnectRequest.of({b"content-encoding": b"gzip"}, b"").heavy
    assert [OwnRequest.of({}, b" " * size).heavy for size in (65_536, 65_537)] == [False, True]


def test_what_a_server_puts_into_an_error_is_not_unfolded(wire):
    """Its JSON is looked at where its type is known: ten million lists would be a gigabyte."""
    operation = wire.operations["book"]
    known = f'{{"type":"{fault_type(operation, wire.RoomTaken)}","debug":{{"hotel_id":7}}}}'
    other = '{"type":"other.Thing","value":"","debug":[' + "[]," * 500_000 + "[]]}"
    body = f'{{"code":"failed_precondition","details":[{other},{known}]}}'.encode()

    tracemalloc.start()
    fault = read_unary_error(operation, 400, body, "there")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (type(fault), fault.hotel_id) == (wire.RoomTaken, 7)
    assert peak < len(body)


@pytest.mark.parametrize("debug", ["[]", '{"fieldViolations":7}', '{"fieldViolations":[7]}', "null"])
def test_a_detail_that_is_not_what_it_says_is_left_out(wire, debug):
    body = f'{{"code":"not_found","message":"m","details":[{{"type":"google.rpc.BadRequest","debug":{debug}}}]}}'

    error = read_unary_error(wire.operations["book"], 404, body.encode(), "there")

    assert (error.code, error.message, error.violations) == (Code.NOT_FOUND, "m", ())


def test_a_large_reply_is_packed_for_who_accepts_that(wire, route):
    request = ConnectRequest.of({b"accept-encoding": b"br, gzip"}, STAY)

    small = route.other.reply(request, wire.Booking(booking_id="b", guest="Ada"))
    large = route.other.reply(request, wire.Booking(booking_id="b", guest="A" * 2000))

    assert (small.fields, json.loads(small.body)["guest"]) == ((), "Ada")
    assert (b"content-encoding", b"gzip") in large.fields
    assert json.loads(gzip.decompress(large.body))["guest"] == "A" * 2000


async def test_a_reply_that_takes_long_to_pack_is_packed_in_a_thread(wire, monkeypatch):
    threads = []
    monkeypatch.setattr(compression, "packed", lambda body: threads.append(get_ident()) or gzip.compress(body))
    server = await wire.server()
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    body = json.dumps({"data": base64.b64encode(bytes(100_000)).decode()}).encode()
    head = (
        "POST /shop.rooms.v1.Rooms/Blob HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept-encoding: gzip"
    )
    writer.write(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    writer.write(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n")

    answer = (await wire.within(reader.readuntil(b"\r\n\r\n"))).decode()
    found = await wire.within(reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r")[0])))
    assert answer.startswith("HTTP/1.1 200 OK")
    assert "content-encoding: gzip\r\nvary: accept-encoding" in answer
    assert json.loads(gzip.decompress(found))["result"] == base64.b64encode(bytes(100_000)).decode()
    assert threads
    assert get_ident() not in threads
    assert (await wire.within(reader.readline())).startswith(b"HTTP/1.1 404")
    writer.close()


@pytest.mark.parametrize("own", [True, False])
def test_an_error_has_the_status_of_its_code_and_fields_of_its_own(route, own):
    codec = route.own if own else route.other
    error = CallError(Code.RESOURCE_EXHAUSTED, "busy", may_have_happened=False, retry_after=1.5)
    request = (OwnRequest if own else ConnectRequest).of({}, b"")

    response = codec.failure(request, error)

    assert (response.status, response.fields) == (429, [(b"retry-after", b"2")])
    assert json.loads(response.body)["code"] == "resource_exhausted"


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.INTERNAL])
@pytest.mark.parametrize("own", [True, False])
def test_an_error_says_over_the_wire_whether_the_service_itself_raised_it(wire, route, code, own):
    codec = route.own if own else route.other
    request = (OwnRequest if own else ConnectRequest).of({}, b"")
    for error in (CallError(code, "busy"), CallError(code, "busy").passed_on()):
        body = codec.failure(request, error).body

        assert read_unary_error(wire.operations["book"], 503, body, "here").from_service is error.from_service
