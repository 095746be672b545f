"""Positions: what a caller wrote, as it travels; nothing that a stranger sends does more than lead to the primary."""

import pytest

from meristem.context import Context
from meristem.log_positions import ALL, LONGEST, MOST, NONE, PRIMARIES, Position, Positions, key_of, together
from meristem.position_fields import sent, told


def test_a_position_is_covered_only_in_its_timeline_or_a_later_one():
    """After a fail-over a standby that was left behind may have more of the old log than the new primary has in all."""
    assert Position(1, 90).covers(Position(1, 90))
    assert not Position(1, 89).covers(Position(1, 90))
    assert not Position(1, 100).covers(Position(2, 95))
    assert not Position(2, 80).covers(Position(1, 90))
    assert Position(2, 95).covers(Position(1, 90))


def test_what_was_written_travels_and_comes_back():
    mine = Positions()
    assert (mine.text(), mine.has_grown, mine.behind("stock")) == (NONE, False, Position(0, 0))
    mine.wrote("stock")
    assert mine.behind("stock") is None
    mine.reached("stock", Position(1, 0x16B3748))
    mine.wrote("orders")
    assert mine.text() == f"{key_of('stock')}:1-16b3748.{key_of('orders')}:*"

    there = Positions.read(mine.text())
    assert there is not None
    assert (there.behind("stock"), there.behind("orders"), there.behind("other")) == ((1, 0x16B3748), None, (0, 0))
    assert not there.has_grown
    there.reached("orders", Position(1, 5))
    there.reached("stock", Position(1, 3))  # an answer that comes late says nothing new
    mine.learn(there.text())
    assert mine.behind("stock") == (1, 0x16B3748)


@pytest.mark.parametrize(
    "text",
    ["", "x", "*-", "0000:1-1", "00000000:1", "00000000:1-1.", "0" * (LONGEST + 1), "00000000:1-11111111111111111"],
)
def test_what_is_no_such_text_counts_as_not_sent_and_of_a_callee_as_anything(text):
    assert Positions.read(text) is None
    mine = Positions()
    mine.learn(text)
    assert mine.text() == ALL


def test_of_many_services_nothing_is_known_but_that_all_is_at_the_primaries():
    mine = Positions()
    for number in range(MOST):
        mine.reached(f"service-{number}", Position(0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF))
    assert len(mine.text()) <= LONGEST
    assert Positions.read(mine.text()) is not None
    mine.wrote("one more")
    assert mine.text() == ALL


def test_work_without_a_caller_keeps_nothing():
    PRIMARIES.wrote("stock")
    PRIMARIES.reached("stock", Position(1, 1))
    PRIMARIES.learn("00000000:1-1")
    assert (PRIMARIES.text(), PRIMARIES.has_grown, PRIMARIES.behind("stock")) == (ALL, False, None)


def test_what_is_done_for_several_has_what_each_wrote():
    one, other = Positions(), Positions()
    one.reached("stock", Position(1, 5))
    other.reached("stock", Position(1, 7))
    assert together([one, other]).behind("stock") == (1, 7)
    assert together([one, None]) is PRIMARIES


def test_a_browser_sends_back_what_it_was_told():
    context = Context(positions=Positions())
    assert told(context) == ()
    context.positions.reached("stock", Position(1, 0xAB))
    (_, field), (_, cookie) = told(context)
    text = f"{key_of('stock')}:1-ab"
    assert field.decode() == text
    assert cookie.decode() == f"meristem-positions={text}; Path=/; Max-Age=300; HttpOnly; SameSite=Lax"
    pair = cookie.partition(b";")[0]
    for cookies in (pair, b"a=b; " + pair, pair + b"; a=b", b"a=b; " + pair + b"; c=d"):
        assert sent({b"cookie": cookies}).text() == text
    for cookies in (b"", b"x-" + pair, b"meristem-positions=", b"meristem-positions=\xff", b"meristem-positions=1;1"):
        assert sent({b"cookie": cookies}) is None
    assert sent({b"cookie": pair, b"meristem-positions": b"-"}).text() == NONE  # what a client says itself is stronger
