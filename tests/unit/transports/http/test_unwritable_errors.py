"""Errors that cannot be written are told as what they are, bugs of the service: no connection is cut for them."""

from __future__ import annotations

import pytest

from meristem.errors import CallError, Code

HALF = "\ud800"  # of a character: no encoding has bytes for it


async def test_half_a_character_in_the_words_of_an_error_changes_nothing_of_it(wire):
    async def cancel(_):
        raise CallError(Code.NOT_FOUND, f"no {HALF} here")

    wire.handlers.cancel = cancel
    _, client = await wire.pair()

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("cancel", booking_id="1"))

    assert (caught.value.code, caught.value.message) == (Code.NOT_FOUND, "no ? here")


async def test_a_fault_that_no_wire_can_carry_is_internal(wire, caplog):
    async def book(_):
        raise wire.CardDeclined(reason=HALF)

    wire.handlers.book = book
    _, client = await wire.pair()

    with pytest.raises(CallError) as caught:
        await client.call(wire.call("book", hotel_id=1, city="Rome", arrival="2030-01-02"))

    assert caught.value.code is Code.INTERNAL
    assert "UnicodeEncodeError" in caplog.text


async def test_so_is_one_that_ends_a_stream(wire, caplog):
    async def numbers():
        yield 1
        raise wire.RoomTaken(hotel_id=HALF)

    async def count(_):
        return numbers()

    wire.handlers.count = count
    _, client = await wire.pair()
    replies = await client.call(wire.call("count", until=1))

    assert await anext(replies) == 1
    with pytest.raises(CallError) as caught:
        await anext(replies)

    assert caught.value.code is Code.INTERNAL
    assert "UnicodeEncodeError" in caplog.text
