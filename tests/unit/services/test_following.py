"""Who is followed, and how far: what surrounds a call in a system with read replicas."""

import asyncio
import contextvars

import pytest

from meristem.context import CURRENT, EMPTY, Context, using
from meristem.contracts.call import Call
from meristem.contracts.contract import Contract, operations
from meristem.contracts.operation import idempotent, safe
from meristem.errors import CallError, Code, StorageError
from meristem.log_positions import ALL, NONE, PRIMARIES, Position, Positions
from meristem.services import outbound
from meristem.services.following import beginning, distrusting, heeding, settling
from meristem.services.outbound import followed


class Stock(Contract, package="following.v1"):
    @idempotent
    async def take(self) -> None: ...

    @safe
    async def count(self) -> None: ...


KNOWN = operations(Stock)


def call(name: str = "take", positions: Positions | None = None) -> Call:
    return Call(KNOWN[name], None, Context(positions=positions))


async def nothing(_: Call) -> None:
    """Answers at once."""


def raising(error: BaseException):
    async def fails(_: Call) -> None:
        raise error

    return fails


async def position() -> Position:
    return Position(1, 7)


async def test_a_task_outside_of_any_call_is_one_caller_for_a_while(monkeypatch):
    def first_and_next() -> tuple[Positions, Positions]:
        return followed(CURRENT.get()), followed(CURRENT.get())

    mine, again = contextvars.Context().run(first_and_next)
    assert mine is again
    assert contextvars.Context().run(first_and_next)[0] is not mine

    def later() -> Positions:
        before = followed(CURRENT.get())
        before.distrust()
        monkeypatch.setattr(outbound, "monotonic", lambda: before.ends)
        return followed(CURRENT.get())

    assert contextvars.Context().run(later).text() == NONE
    given = Positions()
    with using(Context(positions=given)):  # a call's own last as long as it
        assert followed(CURRENT.get()) is given
    assert EMPTY.positions is None


async def test_what_may_write_tells_its_caller_how_far_it_is_when_it_ends():
    mine = Positions()
    await settling(KNOWN["take"], "stock", position)(nothing)(call(positions=mine))
    assert mine.behind("stock") == (1, 7)

    mine = Positions()
    with pytest.raises(ValueError, match="no"):
        await settling(KNOWN["take"], "stock", position)(raising(ValueError("no")))(call(positions=mine))
    assert mine.behind("stock") == (1, 7)

    async def away() -> Position:
        raise StorageError("away")

    mine = Positions()
    await settling(KNOWN["take"], "stock", away)(nothing)(call(positions=mine))
    assert mine.behind("stock") is None  # the call has happened all the same

    mine = Positions()
    with pytest.raises(asyncio.CancelledError):
        await settling(KNOWN["take"], "stock", position)(raising(asyncio.CancelledError()))(call(positions=mine))
    assert mine.behind("stock") is None


async def test_what_only_reads_asks_for_no_position_unless_it_has_committed():
    mine = Positions()
    await settling(KNOWN["count"], "stock", position)(nothing)(call("count", mine))
    assert mine.text() == NONE

    async def writes(asked: Call) -> None:
        assert asked.context.positions is not None
        asked.context.positions.wrote("stock")

    await settling(KNOWN["count"], "stock", position)(writes)(call("count", mine))
    assert mine.behind("stock") == (1, 7)


async def test_where_no_answer_came_that_says_it_nobody_knows_what_was_written():
    unanswered = CallError(Code.UNAVAILABLE, "lost", may_have_happened=True)
    refused = CallError(Code.UNAVAILABLE, "full", may_have_happened=False)
    answered = CallError(Code.ABORTED, "no", may_have_happened=True)
    answered.answered = True
    for error, text in ((unanswered, ALL), (refused, NONE), (answered, NONE), (asyncio.CancelledError(), ALL)):
        mine = Positions()
        with pytest.raises(type(error)):
            await heeding(KNOWN["take"])(raising(error))(call(positions=mine))
        assert mine.text() == text, error
    mine = Positions()
    with pytest.raises(CallError):
        await heeding(KNOWN["count"])(raising(unanswered))(call("count", mine))
    assert mine.text() == NONE


async def test_after_a_saga_its_caller_reads_from_primaries():
    mine = Positions()
    await distrusting(nothing)(call(positions=mine))
    assert mine.text() == ALL


async def test_a_caller_from_outside_has_written_nothing_and_of_a_service_that_says_nothing_nothing_is_known():
    asked = call()
    await beginning(nothing)(asked)
    assert asked.context.positions is not None
    assert asked.context.positions.text() == NONE
    asked = call()
    asked.context.caller = "orders"
    await beginning(nothing)(asked)
    assert asked.context.positions is PRIMARIES
