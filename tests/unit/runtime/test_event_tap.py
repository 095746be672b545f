"""The tap observes events while somebody looks, and keeps nobody waiting."""

from typing import Any

import msgspec
import pytest

from meristem.events.facts import Delivered, Observer, emit
from meristem.runtime import event_tap
from meristem.runtime.event_tap import EventTap, Passage

HANDED = Delivered("fair.v1.Sold", "books", 0.25, 1)


async def looked(tap: EventTap, after: str) -> Passage:
    return msgspec.json.decode(await tap.look(after), type=Passage)


async def test_nothing_is_observed_before_a_look_and_after_the_last() -> None:
    tap = EventTap()
    observers: list[Observer] = []
    tap.observe(observers)
    emit(observers, HANDED)
    first = await looked(tap, "")
    emit(observers, HANDED)
    second = await looked(tap, first.after)

    assert (first.events, len(observers)) == ([], 1)
    assert [(each.what, each.service, each.seconds) for each in second.events] == [("delivered", "books", 0.25)]
    assert tap._closing is not None
    tap._closing.cancel()
    tap._close()
    assert observers == []


async def test_what_is_made_while_somebody_looks_is_observed_too() -> None:
    """As in a process that starts again under a tail: its relays come after its first look."""
    tap = EventTap()
    before: list[Observer] = []
    since: list[Observer] = []
    tap.observe(before)
    first = await looked(tap, "")
    tap.observe(since)
    emit(since, HANDED)
    second = await looked(tap, first.after)
    assert tap._closing is not None
    tap._closing.cancel()
    tap._close()

    assert len(second.events) == 1
    assert (before, since) == ([], [])


async def test_who_looks_too_seldom_is_told_how_many_are_gone_and_two_look_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_tap, "_WAIT", 0.01)
    tap = EventTap()
    observers: list[Observer] = []
    tap.observe(observers)
    one, other = await looked(tap, ""), await looked(tap, "")
    for _ in range(event_tap.KEPT + 7):
        emit(observers, HANDED)
    seen = await looked(tap, one.after)
    again = await looked(tap, seen.after)
    elsewhere = await looked(tap, other.after)

    assert (seen.lost, len(seen.events)) == (7, event_tap.KEPT)
    assert (again.lost, again.events) == (0, [])
    assert elsewhere == seen


async def test_a_look_of_before_a_restart_has_all_that_this_process_has_seen() -> None:
    tap: Any = EventTap()
    tap._open()
    tap._take(HANDED)

    assert len((await looked(tap, "17.abc 5")).events) == 1
