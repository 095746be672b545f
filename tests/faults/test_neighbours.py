"""While the worst bodies that a server accepts are read, and worse ones refused, others are answered in time."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest

from meristem.contracts.costly import HASHED, MOST_ALIKE, MOST_DIGITS
from meristem.contracts.counting import ESCAPES, WIDE
from meristem.resilience.limits import Limits
from tests.suites.sampled import sampled

from .neighbours import ROUNDS, House, allowed, opened

MIB = 1024 * 1024
pytestmark = pytest.mark.asyncio(loop_factories=sampled(["asyncio", "uvloop"], 1, "neighbours"))
JSON = "content-type: application/json"
GZIP = "content-encoding: gzip"
OWN = "user-agent: meristem/1"
PARENT = "00-12345678901234567890123456789012-1234567890123456-01"
EMOJI = "😀".encode()


def filled(before: bytes, unit: bytes, behind: bytes, size: int) -> bytes:
    """A body of about `size` bytes that repeats a unit."""
    return before + b",".join([unit] * max(1, (size - len(before)) // (len(unit) + 1))) + behind


def bodies() -> dict[str, bytes]:
    """What a client may send as an `Order`, the worst that is accepted and what is beyond."""
    most = Limits().body_values
    return {
        "empty lists": b'{"grid":[' + b",".join([b"[]"] * (most - 10)) + b"]}",
        "empty lists, too many": filled(b'{"grid":[', b"[]", b"]}", 8 * MIB),
        "unknown lists": b'{"other":[' + b",".join([b"[]"] * (most - 10)) + b"]}",
        "unknown lists, too many": filled(b'{"other":[', b"[]", b"]}", 30 * MIB),
        "messages": b'{"lines":[' + b",".join([b'{"name":"x"}'] * (most // 2 - 10)) + b"]}",
        "keys": b'{"counts":{' + b",".join(b'"%d":1' % each for each in range(most - 10)) + b"}}",
        "keys, too many": b'{"counts":{' + b",".join(b'"%d":1' % each for each in range(2 * MIB)) + b"}}",
        "unknown keys": b"{" + b",".join(b'"%d":1' % each for each in range(most - 10)) + b"}",
        "depth": b"[" * (30 * MIB),
        "depth of messages": b'{"below":[' * 400 + b"]}" * 400,
        "a long string": b'{"text":"' + b"a" * (30 * MIB) + b'"}',
        "a string of escapes": b'{"text":"' + rb"\n" * (ESCAPES * (most - 10)) + b'"}',
        "a string of letters as escapes": b'{"text":"' + rb"\ud83d\ude00" * (3 * most // 8 * WIDE // 12) + b'"}',
        "a string of escapes, too many": b'{"text":"' + rb"\n" * (15 * MIB) + b'"}',
        "unknown escapes, too many": b'{"other":"' + rb"\n" * (15 * MIB) + b'"}',
        "a wide string": b'{"text":"' + EMOJI + b"a" * (WIDE * (most - 10)) + b'"}',
        "a string that ends wide": b'{"text":"' + b"a" * (WIDE * (most - 10)) + EMOJI + b'"}',
        "a wide string, too long": b'{"text":"' + EMOJI + b"a" * (30 * MIB) + b'"}',
        "a wide string with quotes, too long": b'{"text":"' + EMOJI + (b"a" * 60 + rb"\"") * (MIB // 2) + b'"}',
        "a string of commas": b'{"text":"' + b"," * (30 * MIB) + b'"}',
        "base64": b'{"raw":"' + b"AAAA" * (7 * MIB) + b'"}',
        "a long number": b'{"grid":[[' + b"7" * (8 * MIB) + b"]]}",
        "a long number with a point": b'{"grid":1.' + b"7" * (8 * MIB) + b"}",
        "numbers as text": b'{"grid":[[' + b",".join([b'"1"'] * (most - 10)) + b"]]}",
        "a wrong value that looks like a path": b'{"grid":"' + b" - at `$" * MIB + b'"}',
    }


def post_of(path: str, body: bytes, *fields: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: x", *fields, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


def get_of(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "host: x", *fields, "", ""]).encode()


RPC, REST, STREAM = "/neighbours.v1.Orders/Send", "/api/orders", "/neighbours.v1.Orders/Follow"
ITEMS = "/neighbours.v1.Orders/Collect"


def sets() -> dict[str, bytes]:
    """Sets of values that were chosen to have one hash, or as many with one as may have; decimals without end."""
    most, prime = Limits().body_values, 2**61 - 1
    one = [prime * each + 5 for each in range(1, most - 10)]
    some = [prime * (each % MOST_ALIKE) + each // MOST_ALIKE for each in range(most - 10)]
    found: dict[str, Any] = {}
    for label, numbers in (("one hash", one), ("few hashes", some)):
        ids = {str(UUID(int=each)): 1 for each in numbers}
        found[f"ids of {label}"] = {"ids": ids}
        found[f"some ids of {label}"] = {"ids": dict(list(ids.items())[:1500])}
        found[f"amounts of {label}"] = {"amounts": list(map(str, numbers))}
        found[f"some amounts of {label}"] = {"amounts": list(map(str, numbers[: MOST_DIGITS // (HASHED + 20)]))}
    for size in (MOST_DIGITS, 8 * MIB):
        found[f"a price of {size} digits"] = {"prices": ["1" * size]}
        found[f"prices of {size} digits"] = {"prices": ["1" * (size // (most - 10))] * (most - 10)}
    return {name: post_of("/api/marks", json.dumps(each).encode(), JSON) for name, each in found.items()}


def heads() -> dict[str, bytes]:
    return {
        "many query fields": get_of("/api/found?" + "&".join(["tags=1"] * 8000)),
        "many parameters": get_of("/neighbours.v1.Orders/Find?" + "&".join(["a=1"] * 14_000)),
        "many lines": get_of("/api/found", *(f"a{number}: 1" for number in range(6000))),
        "a long baggage": get_of("/api/found", "baggage: " + "," * 60_000),
        "a long trace state": get_of("/api/found", f"traceparent: {PARENT}", "tracestate: " + "," * 60_000),
        "many tokens": get_of("/api/found", "connection: " + "," * 60_000, "accept-encoding: " + "," * 3000),
        "a line many times": get_of("/api/found", *["a: 1"] * 10_000),
    }


def streams() -> dict[str, bytes]:
    media = "content-type: application/connect+json"
    packed = gzip.compress(bodies()["unknown lists, too many"])
    one = b"\1" + len(packed).to_bytes(4, "big") + packed
    return {
        "millions of envelopes": post_of(STREAM, bytes(5) * (6 * MIB), media),
        "a packed envelope": post_of(STREAM, one, media, "connect-content-encoding: gzip"),
    }


def items() -> dict[str, bytes]:
    """Requests whose items are taken one by one by a callee that never waits for anything else."""
    head = f"POST {ITEMS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+json\r\n"
    small, large = enveloped(b"{}"), enveloped(bodies()["empty lists"])
    chunk = b"%x\r\n%b\r\n" % (len(small), small)
    return {
        "small items": f"{head}content-length: {len(small) * 30_000}\r\n\r\n".encode() + small * 30_000,
        "large items": f"{head}content-length: {len(large) * 3}\r\n\r\n".encode() + large * 3,
        "items in chunks": f"{head}transfer-encoding: chunked\r\n\r\n".encode() + chunk * 15_000 + b"0\r\n\r\n",
    }


def enveloped(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def chunks() -> dict[str, bytes]:
    """Bodies in the smallest chunks that are accepted; the longest one for each who reads: the server, and an app."""
    size = Limits().body_bytes // 32 - 2
    found = {f"chunks for {path}": chunked(path, size) for path in (REST, "/app")}
    return {**found, **{f"some chunks for {path}": chunked(path, 60_000) for path in (RPC, STREAM, "/api/found")}}


def chunked(path: str, count: int) -> bytes:
    media = "application/connect+json" if path == STREAM else "application/json"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n"
    return head.encode() + (b"20\r\n" + b" " * 32 + b"\r\n") * count + b"0\r\n\r\n"


def pipelined() -> dict[str, bytes]:
    return {path: get_of(path) * 5000 for path in ("/api/found", "/api/nothing", "/app")}


def binaries() -> dict[str, bytes]:
    media = "content-type: application/proto"
    most = Limits().body_values
    return {
        "messages": post_of(RPC, b"\x0a\x00" * (most - 10), media),
        "messages, too many": post_of(RPC, b"\x0a\x00" * (8 * MIB), media),
        "unknown fields": post_of(RPC, b"\xa0\x06\x01" * (most - 10), media),
        "flags, too many": post_of(RPC, b"\x22\x80\x80\x80\x04" + bytes(8 * MIB), media),
        "a bomb": post_of(RPC, gzip.compress(b"\x0a\x00" * (15 * MIB)), media, GZIP),
        "a wide string": post_of(RPC, delimited(5, EMOJI + b"a" * (WIDE * (most - 10))), media),
        "a wide string, too long": post_of(RPC, delimited(5, EMOJI + b"a" * (30 * MIB)), media),
    }


def delimited(field: int, content: bytes) -> bytes:
    """A field of protobuf that has a length."""
    length, number = b"", len(content)
    while number > 127:
        length, number = length + bytes((number & 127 | 128,)), number >> 7
    return bytes((field << 3 | 2,)) + length + bytes((number,)) + content


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "rest": lambda body: post_of(REST, body, JSON),
    "rpc": lambda body: post_of(RPC, body, JSON),
    "own client": lambda body: post_of(RPC, body, JSON, OWN),
    "gzip": lambda body: post_of(RPC, gzip.compress(body, 9), JSON, GZIP),
    "rest gzip": lambda body: post_of(REST, gzip.compress(body, 9), JSON, GZIP),
}
OTHERS: dict[str, Callable[[], dict[str, bytes]]] = {
    "heads": heads, "streams": streams, "items": items, "sets": sets, "protobuf": binaries, "chunks": chunks,
    "pipelined": pipelined,
}  # fmt: skip


def requests(kind: str) -> dict[str, bytes]:
    if kind in OTHERS:
        return OTHERS[kind]()
    return {name: FORMS[kind](body) for name, body in bodies().items()}


async def reading(scope: Any, receive: Any, send: Any) -> None:
    """Reads a body to its end."""
    more = True
    while more:
        event = await receive()
        more = event.get("more_body", False)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.fixture
async def house(tmp_path: Any) -> AsyncIterator[House]:
    async with opened(f"{tmp_path}/s", reading) as house:
        yield house


@pytest.mark.parametrize("kind", sampled([*FORMS, *OTHERS], 6, "what neighbours send"))
async def test_a_neighbour_waits_fifty_milliseconds_at_most(house, kind):
    if kind == "protobuf":
        pytest.importorskip("google.protobuf")
    late = {}
    for name, request in requests(kind).items():
        for _ in range(ROUNDS):
            work = asyncio.ensure_future(house.attack(request))
            longest = max(await house.waits(work))
            await work
            if longest <= allowed():
                break
        else:
            late[name] = f"{longest * 1000:.0f} ms"
    assert not late
