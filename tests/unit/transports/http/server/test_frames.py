"""Frames of a WebSocket are handed on a few in a turn of the loop, whole and in order, however they arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from meristem.resilience.limits import Limits
from meristem.transports.http.request import Request
from meristem.transports.http.server.turns import Turns
from meristem.transports.http.server.websocket import FRAMES, MOST_UNREAD, Frames, Lent, Socket, SocketHost

ASKED = Request("GET", b"/", b"", "1.1", [], {})
EMPTY = b"\x81\x80mask"
SHORT = b"\x82\x85maskhello"
LONG = b"\x82\xfe" + (300).to_bytes(2, "big") + b"mask" + b"l" * 300
LONGER = b"\x82\x7f" + (70_000).to_bytes(8, "big") + b"m" * 70_000  # without a mask, which is not for this to refuse
ALL = [EMPTY, SHORT, LONG, LONGER, EMPTY, SHORT]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 65_536, 200_000])
def test_frames_are_cut_at_their_beginnings_in_any_segmentation(size):
    frames, data, taken = Frames(), b"".join(ALL), []

    for start in range(0, len(data), size):
        frames.inbox += data[start : start + size]
        taken.append(frames.take(2))
        while frames.more:
            taken.append(frames.take(2))

    assert b"".join(taken) == data
    assert not frames.inbox
    if size > len(data):
        assert taken == [EMPTY + SHORT, LONG + LONGER, EMPTY + SHORT]


def test_half_a_beginning_waits_for_the_other_half():
    frames = Frames()
    frames.inbox += EMPTY + LONG[:3]

    assert frames.take(5) == EMPTY
    assert not frames.more
    frames.inbox += LONG[3:]
    assert frames.take(5) == LONG


class Stub:
    """A transport that reads or not, and the protocol behind it."""

    def __init__(self) -> None:
        self.transport = self
        self.reading = True
        self.waiting = 0  # bytes that the client has yet to read
        self.got: list[bytes] = []
        self.data_received = self.got.append

    def is_closing(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def resume_writing(self) -> None:
        self.waiting = 0


async def test_of_many_frames_a_turn_of_the_loop_takes_a_few_and_no_more_is_read_meanwhile():
    stub: Any = Stub()
    lent = Lent(stub, ASKED)
    lent.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    socket = Socket(stub, lent)

    socket.data_received(EMPTY * 1000)
    first, reading = list(stub.got), stub.reading
    socket.data_received(SHORT)
    while not stub.reading:
        await asyncio.sleep(0)

    assert first == [EMPTY * FRAMES]
    assert not reading
    assert b"".join(stub.got) == EMPTY * 1000 + SHORT
    assert max(map(len, stub.got)) <= len(SHORT) + FRAMES * len(EMPTY)


async def test_who_wants_no_more_gets_no_more_and_is_read_no_further_until_he_does():
    stub: Any = Stub()
    lent = Lent(stub, ASKED)
    lent.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    socket = Socket(stub, lent)

    socket.data_received(EMPTY * 100)
    lent.pause_reading()
    for _ in range(5):
        await asyncio.sleep(0)
    held, got = stub.reading, b"".join(stub.got)
    lent.resume_reading()
    while not stub.reading:
        await asyncio.sleep(0)

    assert not held
    assert got == EMPTY * FRAMES
    assert b"".join(stub.got) == EMPTY * 100


async def test_who_reads_no_answers_to_its_pings_gets_no_more_of_them_until_it_does():
    stub: Any = Stub()
    lent = Lent(stub, ASKED)
    lent.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    socket = Socket(stub, lent)

    lent.write(bytes(MOST_UNREAD))
    socket.data_received(EMPTY * 10)
    held, got = stub.reading, list(stub.got)
    socket.resume_writing()
    while not stub.reading:
        await asyncio.sleep(0)

    assert (held, got) == (False, [])
    assert b"".join(stub.got) == EMPTY * 10


def test_no_compression_is_offered_and_other_packages_change_nothing():
    """A quarter of a megabyte would be unpacked to 250, on the loop."""
    config = SocketHost(None, Limits(), {}, Turns())._config

    assert not config.ws_per_message_deflate
    assert config.ws_protocol_class is WSProtocol
