"""What varies by itself is learned from runs in one placement, and hides nothing else."""

from itertools import count
from typing import Any

import pytest

from meristem.testing.divided.comparison import Difference, Incomparable, Same, compare
from meristem.testing.divided.events import MANY
from meristem.testing.divided.recorded import Happenings, RecordedCall, RecordedTest
from meristem.testing.published import PublishedPlain

IDS = count()


def new_id() -> str:
    return f"6f1c0000-0000-4000-8000-{next(IDS):012}"


def called(
    number: int, outcome: Any, *, operation: str = "Shop.order", arguments: Any = None, safe: bool = False,
    line: int | None = None, took: int = 1,
) -> RecordedCall:  # fmt: skip
    """A call that began at ten times its number and took so much of these units."""
    kept = outcome if isinstance(outcome, dict) and {"reply", "fault", "error"} & outcome.keys() else {"reply": outcome}
    return RecordedCall(
        "t", number, 10 * number, 10 * number + took, operation, safe, arguments or {}, kept, "", "t.py", line or number
    )


def ran(*outcomes: Any, **options: Any) -> RecordedTest:
    """A test that made one call after another."""
    return RecordedTest(
        "t", [called(number, each, **options) for number, each in enumerate(outcomes, 1)], outcome="passed"
    )


def verdict(*runs: RecordedTest) -> Any:
    return compare(runs[:-1], runs[-1], "wire")


def differs(*runs: RecordedTest) -> Difference:
    found = verdict(*runs)
    assert isinstance(found, Difference), found
    return found


def test_ids_vary_and_keep_who_is_who():
    def run(asked: int) -> RecordedTest:
        ids = [new_id(), new_id()]
        return ran({"id": ids[0]}, {"id": ids[1]}, {"of": ids[asked]})

    assert verdict(run(0), run(0), run(0)) == Same(3)
    found = differs(run(0), run(0), run(1))
    assert (found.number, found.at) == (3, "reply.of")
    assert (
        "first seen in call 1 (Shop.order, reply.id) in one process, and in call 2 (Shop.order, reply.id)" in found.why
    )


def test_an_id_that_is_missing_or_of_another_kind_is_a_difference():
    assert differs(ran({"id": new_id()}), ran({"id": new_id()}), ran({"id": None})).at == "reply.id"
    assert differs(ran({"id": new_id()}), ran({"id": new_id()}), ran({})).at == "reply"


@pytest.mark.parametrize(
    ("one", "other", "last"),
    [
        (1, 2, 2),
        (0.25, 0.5, 0.125),
        ("2030-01-01T12:00:00Z", "2030-01-01T12:00:01Z", "2030-01-01T12:00:00Z"),
        ("red", "green", "red"),
        (["a", "b"], ["b", "a"], ["a", "b"]),
        ([1], [1, 2], [1, 2, 3]),
        ({"a": 1}, {"b": 1}, {"c": 1}),
        ([["x", "y"], ["z"]], [["z"], ["x", "y"]], [["z"], ["x", "y"]]),
    ],
)
def test_what_varied_once_may_vary_again(one, other, last):
    assert isinstance(verdict(ran(one), ran(other), ran(last)), Same)


def test_beside_what_varies_nothing_is_hidden():
    runs = [ran({"id": new_id(), "lot": number, "lines": [{"at": number, "count": 2}]}) for number in range(3)]
    runs[-1].calls[0].outcome["reply"]["lines"][0]["count"] = 1

    assert differs(*runs).at == "reply.lines[0].count"


def test_words_that_recur_are_no_ids():
    pool = ["a lamp of brass", "a lamp of glass", "a lamp of steel"]

    assert isinstance(verdict(ran(pool[0], pool[1]), ran(pool[2], pool[0]), ran(pool[1], pool[1])), Same)


def test_another_order_is_a_difference_where_it_did_not_vary():
    assert differs(ran([1, 2]), ran([1, 2]), ran([2, 1])).at == "reply[0]"


def test_an_order_that_varied_in_one_call_of_an_operation_may_vary_in_all():
    assert isinstance(verdict(ran([1, 2], [3, 4]), ran([2, 1], [3, 4]), ran([1, 2], [4, 3])), Same)
    assert differs(ran([1, 2], [3, 4]), ran([2, 1], [3, 4]), ran([1, 2], [4, 4])).at == "reply[0]"


def test_a_truth_is_no_number():
    assert differs(ran(1), ran(1), ran(True)).at == "reply"


def test_a_fault_that_loses_a_field_or_becomes_another_is_a_difference():
    whole = {"fault": "Refused", "code": "failed_precondition", "fields": {"left": 1}}

    assert differs(ran(whole), ran(whole), ran(whole | {"fields": {"left": None}})).at == "fields.left"
    assert differs(ran(whole), ran(whole), ran({"error": "internal", "violations": []})).at == ""


def test_calls_that_overlap_have_no_order_but_their_answers_count():
    def run(*outcomes: str) -> RecordedTest:
        return RecordedTest("t", [called(number, each, took=100) for number, each in enumerate(outcomes, 1)])

    assert isinstance(verdict(run("won", "lost"), run("lost", "won"), run("lost", "won")), Same)
    assert isinstance(verdict(run("won", "lost"), run("won", "lost"), run("lost", "won")), Same)
    assert differs(run("won", "lost"), run("lost", "won"), run("won", "won")).expected == [
        {"reply": "won"},
        {"reply": "lost"},
    ]


def test_who_waits_may_ask_as_often_as_it_takes_and_gets_the_same_in_the_end():
    waited = [ran(*replies, safe=True, line=7) for replies in ((0, 0, 1), (0, 1), (1,))]
    assert isinstance(verdict(*waited), Same)
    assert isinstance(verdict(*(ran(*each, safe=True, line=7) for each in ((0, 1, 2), (0, 1, 2), (0, 0, 2)))), Same)
    assert differs(*waited[:2], ran(0, 2, safe=True, line=7)).found == {"reply": 2}


def test_calls_that_are_not_made_are_a_difference():
    found = differs(ran(1, 2), ran(1, 2), ran(1))

    assert (found.kind, found.expected, found.found) == ("calls", 2, 1)


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (ran(1), ran(1, 2), "it calls Shop.order 1 and 2 times by itself"),
        (ran(1), ran({"error": "aborted"}), "Shop.order answers with a reply and aborted by itself"),
        (ran(1), RecordedTest("t", outcome="failed"), "it failed and passed by itself"),
    ],
)
def test_what_differs_from_itself_is_not_compared_and_says_why(one, other, why):
    assert verdict(one, other, ran(5)) == Incomparable(why)


def test_events_are_counted_but_for_those_whose_number_varies():
    def run(**counts: int) -> RecordedTest:
        return RecordedTest("t", happenings=[Happenings("t", 1, counts)], outcome="passed")

    found = differs(run(Sold=2, Ticked=1), run(Sold=2, Ticked=3), run(Sold=1, Ticked=9))
    assert (found.kind, found.at, found.expected, found.found) == ("happenings", "Sold", 2, 1)
    unsettled = RecordedTest("t", happenings=[Happenings("t", 1, {}, "not settled")], outcome="passed")
    assert verdict(run(Sold=2), run(Sold=2), unsettled) == Same(0, "not settled")


def test_a_test_that_fails_elsewhere_shows_the_first_call_that_differs():
    failed = RecordedTest("t", [called(1, 2)], outcome="failed", reason="assert 2 == 1\nmore", place="t.py:9")

    found = differs(ran(1, 5), ran(1, 5), failed)

    assert (found.kind, found.reason, found.number) == ("failed", "assert 2 == 1 (t.py:9)", 1)


def published(call: Any, *carried: Any, unsettled: str = "", others: int = 0) -> RecordedTest:
    """A test that made one call, and what was published meanwhile."""
    events = [PublishedPlain("shop.Sold", "orders", each) for each in carried]
    counts = {"shop.Sold published": len(events) + others}
    return RecordedTest("t", [called(1, call)], [Happenings("t", 1, counts, unsettled, events)], outcome="passed")


def test_what_events_carry_is_compared_in_whatever_order_they_came():
    desk, lamp = {"article": "desk", "cents": 1}, {"article": "lamp", "cents": 2}

    assert verdict(published(1, desk, lamp), published(1, lamp, desk), published(1, lamp, desk)) == Same(0)
    found = differs(published(1, desk, lamp), published(1, lamp, desk), published(1, desk, {**lamp, "cents": 3}))
    assert (found.kind, found.operation, found.at) == ("event", "shop.Sold published by orders", "cents")
    assert (found.expected, found.found) == ([desk, lamp], [desk, {**lamp, "cents": 3}])


def test_what_an_event_carries_varies_by_itself_and_an_id_is_that_of_the_call():
    def run(*, mixed: bool = False) -> RecordedTest:
        order, other = new_id(), new_id()
        return published([order, other], {"order": other if mixed else order, "at": new_id()})

    assert verdict(run(), run(), run()) == Same(4)
    found = differs(run(), run(), run(mixed=True))
    assert (found.kind, found.at) == ("event", "order")
    assert "first seen in call 1 (Shop.order, reply[0]) in one process" in found.why


def test_events_that_are_not_all_there_or_too_many_are_told_by_their_number_alone():
    one, two = {"article": "desk"}, {"article": "lamp"}

    fewer = differs(published(1, one, two), published(1, one, two), published(1, one))
    assert (fewer.kind, fewer.expected, fewer.found) == ("happenings", 2, 1)
    left = published(1, two, unsettled="not settled")
    assert verdict(published(1, one), published(1, one), left) == Same(0, "not settled")
    many = [one] * (MANY + 1)
    assert verdict(published(1, *many), published(1, *many), published(1, *many[:-1], two)) == Same(0)


def test_a_call_that_differs_is_told_before_what_an_event_carries():
    found = differs(*[published(1, {"article": "desk"})] * 2, published(2, {"article": "lamp"}))

    assert (found.kind, found.number) == ("answer", 1)
