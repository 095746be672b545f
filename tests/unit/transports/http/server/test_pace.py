"""How fast a peer is: one that moves is no slow one, unless it moves next to nothing in all."""

from __future__ import annotations

import asyncio
import socket

from meristem.transports.http.server.pace import Pace, left_of


def test_a_peer_that_moves_nothing_is_slow_since_then():
    pace = Pace(10.0)
    pace.move(1_000_000, 12.0)

    assert pace.slow(12.0, 1) == 0.0
    assert pace.slow(15.0, 1) == 3.0


def test_a_peer_that_moves_too_little_is_slow_by_what_is_missing():
    pace = Pace(0.0)
    for second in range(1, 101):
        pace.move(50, float(second))

    assert pace.slow(100.0, 100) == 50.0
    assert pace.slow(100.0, 50) == 0.0


def test_time_for_which_the_peer_is_not_to_blame_is_left_out():
    pace = Pace(0.0)
    pace.move(100, 1.0)
    pace.excuse(1.0, 50.0)

    assert pace.slow(50.0, 100) == 0.0
    assert pace.slow(52.0, 100) == 2.0


async def test_what_the_kernel_holds_is_yet_to_be_taken_too():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transport.write(bytes(1000))  # the kernel takes them at once
        assert transport.get_write_buffer_size() == 0
        held = left_of(transport)

        await asyncio.get_running_loop().sock_recv(theirs, 1000)

        assert held >= 1000
        assert left_of(transport) == 0
        transport.abort()
        assert left_of(transport) == 0
