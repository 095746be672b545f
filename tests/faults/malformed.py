"""Requests that are not sound: each is made of sound ones by a few mutations, and by its seed can be made again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

JSON = "content-type: application/json"
SOCKET = (
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version: 13",
)
LINES = json.dumps({"lines": [{"name": "chair", "amount": 2}] * 5, "note": "x"}).encode()
Mutation = Callable[[random.Random, bytes], bytes]


def head(line: str, *fields: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "host: x", *fields, "", ""]).encode()


def sized(path: str, body: bytes, *fields: str) -> bytes:
    return head(f"POST {path}", *fields, f"content-length: {len(body)}") + body


def chunked(path: str, body: bytes, *fields: str, size: int = 20) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in parts)
    return head(f"POST {path}", *fields, "transfer-encoding: chunked") + framed + b"0\r\nx-late: 1\r\n\r\n"


def frame(opcode: int, payload: bytes) -> bytes:
    """A masked frame of a WebSocket (RFC 6455, 5.2), with a mask of zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


ENVELOPE = b"\0" + (11).to_bytes(4, "big") + b'{"until":3}'
SOUND = [
    head("GET /api/hello/Ada"),
    head("GET /api/count?until=3"),
    sized("/api/lines", LINES, JSON),
    chunked("/api/lines", LINES, JSON),
    sized("/house.v1.House/Hello", b'{"name":"Ada"}', JSON),
    sized("/house.v1.House/Hello", b'{"name":"Ada"}', JSON, "user-agent: meristem/1"),
    sized("/house.v1.House/Hello", b"\x0a\x03Ada", "content-type: application/proto"),
    chunked("/house.v1.House/Send", LINES, JSON, "connect-timeout-ms: 5000"),
    sized("/house.v1.House/Count", ENVELOPE, "content-type: application/connect+json"),
    head("GET /house.v1.House/Hello?encoding=json&message=%7B%22name%22%3A%22Ada%22%7D&connect=v1"),
    head("GET /app/x?y=1", "cookie: a=b"),
    sized("/app/x", LINES * 20),
    chunked("/app/x", LINES * 20, "expect: 100-continue", size=700),
    head("GET /app/socket", *SOCKET) + frame(1, b"hello") + frame(2, b"\0\1") + frame(9, b"") + frame(8, b"\x03\xe8"),
    head("GET /api/hello/Ada", *SOCKET) + frame(1, b"hello"),
    sized("/app/x", LINES, "connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk"),
    head("GET /health"),
    head("OPTIONS /api/hello/Ada", "origin: http://x", "access-control-request-method: GET"),
]
ODD = [
    b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"%00", b"\xff\xfe", b"HTTP/1.1", b"HTTP/2.0",
    b"0\r\n\r\n",
    b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip, chunked\r\n", b"content-length: 5\r\n",
    b"content-length: +5\r\n", b"content-length: 18446744073709551616\r\n", b"host: y\r\n", b"host: a b\r\n",
    b"upgrade: websocket\r\n", b"connection: upgrade\r\n", b"connection: close\r\n", b"expect: 100-continue\r\n",
    b"content-encoding: gzip\r\n", b"content-encoding: br\r\n", b"traceparent: 00-zz-zz-01\r\n",
    b"authorization: Bearer \xff\r\n",
    b"meristem-token: x\r\n", b"ffffffffffffffff\r\n", b"1;" + b"a" * 300 + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"forwarded: for=\"[::1\r\n", b"connect-timeout-ms: 99999999999\r\n", b"content-type: text/html; charset=\"\r\n",
]  # fmt: skip


NUMBERS = [b"0", b"1", b"9", b"-1", b"0" * 8, b"99", b"1000000", b"9" * 18, b"9" * 19, b"0x5", b"", b" 3"]


def flipped(chance: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if found:
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randint(0, len(data))]


def left_out(chance: random.Random, data: bytes) -> bytes:
    start = chance.randint(0, len(data))
    return data[:start] + data[start + chance.randint(1, 30) :]


def repeated(chance: random.Random, data: bytes) -> bytes:
    start = chance.randint(0, len(data))
    end = start + chance.randint(1, 60)
    return data[:end] + data[start:end] * chance.choice((1, 2, 5, 200)) + data[end:]


def put_in(chance: random.Random, data: bytes) -> bytes:
    start = chance.randint(0, len(data))
    return data[:start] + chance.choice(ODD) + data[start:]


def put_at_a_line(chance: random.Random, data: bytes) -> bytes:
    starts = [place + 2 for place in range(len(data)) if data.startswith(b"\r\n", place)]
    start = chance.choice(starts or [0])
    return data[:start] + chance.choice(ODD) + data[start:]


def of_another_length(chance: random.Random, data: bytes) -> bytes:
    """Another number where one stands, be it of the body, a chunk or a version."""
    places = [place for place in range(len(data)) if data[place : place + 1].isdigit()]
    place = chance.choice(places or [0])
    number = chance.choice(
        (b"0", b"1", b"9", b"-1", b"00000000", b"99", b"1000000", b"9" * 18, b"9" * 19, b"0x5", b"", b" 3")
    )
    return data[:place] + number + data[place + 1 :]


def huge(chance: random.Random, data: bytes) -> bytes:
    """More than there is room for, in the target, a field, many fields or trailers."""
    grown = chance.choice((b"a" * 70_000, b"%41" * 6000, b"a: b\r\n" * 120, b"a: " + b"b" * 66_000 + b"\r\n"))
    start = chance.choice((5, data.find(b"\r\n") + 2, max(0, len(data) - 2)))
    return data[:start] + grown + data[start:]


def in_tiny_chunks(chance: random.Random, data: bytes) -> bytes:
    start, _, body = data.partition(b"\r\n\r\n")
    return start + b"\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * chance.choice((3, 300, 12_000)) + body


def pipelined(chance: random.Random, data: bytes) -> bytes:
    behind = b"".join(chance.choices(SOUND, k=chance.randint(1, 8)))
    return data + behind if chance.random() < 0.5 else behind + data


def unread(chance: random.Random, _data: bytes) -> bytes:
    """Many requests for what is long."""
    path = chance.choice(("/api/blob?size=300000", "/app/blob", "/api/count?until=200"))
    return head(f"GET {path}") * chance.randint(2, 6)


def noise(chance: random.Random, _data: bytes) -> bytes:
    return chance.randbytes(chance.randint(1, 400))


MUTATIONS: list[tuple[Mutation, int]] = [
    (flipped, 8), (cut, 6), (left_out, 6), (repeated, 6), (put_in, 8), (put_at_a_line, 10), (of_another_length, 10),
    (huge, 1), (in_tiny_chunks, 1), (pipelined, 6), (unread, 1), (noise, 1),
]  # fmt: skip


def malformed(seed: int, number: int) -> list[bytes]:
    """The segments of one request, or of a few behind each other."""
    chance = random.Random(f"{seed}/{number}")
    data = chance.choice(SOUND)
    kinds, weights = zip(*MUTATIONS, strict=True)
    for mutation in chance.choices(kinds, weights, k=chance.choice((1, 1, 1, 2, 3, 5))):
        data = mutation(chance, data)
    places = sorted(chance.randint(0, len(data)) for _ in range(chance.choice((0, 0, 1, 2, 6))))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True) if start < end]
