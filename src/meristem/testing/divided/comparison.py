"""One test in two placements: the same, different, or not to be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from meristem.testing.divided.alignment import Uneven, align
from meristem.testing.divided.events import CARRIES, event_steps
from meristem.testing.divided.likeness import Likeness, Unlike
from meristem.testing.divided.recorded import RecordedTest
from meristem.testing.divided.trees import dotted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.testing.divided.alignment import AlignedStep
    from meristem.testing.divided.recorded import RecordedCall

LONGEST: Final = 300  # characters of a reason that is told of a test


class Difference(msgspec.Struct, kw_only=True):
    """What one test showed: `kind` is `failed`, `answer`, `arguments`, `calls`, `happenings` or `event`.

    `expected` is what one process gave and `found` what `where` did, `at` the path in it that differs. A call is told
    by its `number` among those of its test, `operation`, `arguments`, and the test's `file` and `line`.
    """

    test: str
    where: str
    kind: str
    expected: Any = None
    found: Any = None
    at: str = ""
    why: str = ""
    reason: str = ""
    number: int = 0
    operation: str = ""
    arguments: Any = None
    file: str = ""
    line: int = 0


class Same(msgspec.Struct):
    """Nothing differs but what varies by itself, which is at so many places; `unsettled` says what wasn't compared."""

    varying: int
    unsettled: str = ""


class Incomparable(msgspec.Struct):
    """A test that differs from itself, and how."""

    reason: str


Verdict: TypeAlias = Difference | Same | Incomparable


def compare(usual: Sequence[RecordedTest], divided: RecordedTest, where: str) -> Verdict:
    """What the same test, run several times in one process, shows in another placement."""
    if refusal := differs_by_itself(usual):
        return Incomparable(refusal)
    runs = [*usual, divided]
    steps, uneven = align([each.calls for each in runs])
    events = event_steps([each.happenings for each in runs])
    # Together: an id that a call answered keeps its place in an event, too.
    likeness = Likeness([*steps, *events])
    found_unlike = likeness.unlike()
    unlike = found_unlike if found_unlike is not None and found_unlike.step < len(steps) else None
    if divided.outcome == "failed":
        shown = _difference(divided.name, where, steps, unlike) if unlike is not None else None
        found = shown or Difference(test=divided.name, where=where, kind="failed")
        found.kind, found.reason = "failed", _short(divided)
        return found
    if unlike is not None:
        return _difference(divided.name, where, steps, unlike)
    if uneven:
        return _uneven(divided.name, where, uneven[0])
    happened = _happenings(usual, divided, where)
    if happened is None and found_unlike is not None:
        happened = _carried(divided.name, where, events[found_unlike.step - len(steps)], found_unlike)
    return happened or Same(len(likeness.wild) + len(likeness.named), _unsettled(usual, divided))


def differs_by_itself(usual: Sequence[RecordedTest]) -> str:
    """Why a test can't be compared with itself in one process, and so not with another placement; empty if it can."""
    outcomes = {each.outcome for each in usual}
    if len(outcomes) > 1:
        return f"it {' and '.join(sorted(outcomes))} by itself"
    steps, uneven = align([each.calls for each in usual])
    if uneven:
        often = " and ".join(map(str, sorted(set(uneven[0].counts))))
        return f"it calls {uneven[0].operation} {often} times by itself"
    for step in steps:
        if not step.is_group and len({_way(calls[0]) for calls in step.calls}) > 1:
            ways = " and ".join(sorted({_way(calls[0]) for calls in step.calls}))
            return f"{step.operation} answers with {ways} by itself"
    return ""


def _way(call: RecordedCall) -> str:
    """How an answer came, as `a reply` or `OutOfStock`."""
    kind = next(iter(call.outcome))
    return "a reply" if kind == "reply" else str(call.outcome[kind])


def _difference(test: str, where: str, steps: Sequence[AlignedStep], unlike: Unlike) -> Difference:
    step = steps[unlike.step]
    first, last = step.calls[0], step.calls[-1]
    asked = unlike.path[:1] == ("arguments",)
    expected: Any = [_shown(each) for each in first] if step.is_group else _shown(first[0])
    found: Any = [_shown(each) for each in last] if step.is_group else _shown(last[0])
    if asked and not step.is_group:
        expected, found = first[0].arguments, last[0].arguments
    return Difference(
        test=test, where=where, kind="arguments" if asked else "answer", expected=expected, found=found,
        at=dotted(unlike.path), why=unlike.why, number=first[0].number, operation=step.operation,
        arguments=[each.arguments for each in first] if step.is_group else first[0].arguments,
        file=first[0].file, line=first[0].line,
    )  # fmt: skip


def _shown(call: RecordedCall) -> Any:
    return {**call.outcome, "message": call.message} if call.message else call.outcome


def _carried(test: str, where: str, step: AlignedStep, unlike: Unlike) -> Difference:
    first, last = ([each.outcome[CARRIES] for each in calls] for calls in (step.calls[0], step.calls[-1]))
    return Difference(
        test=test, where=where, kind="event", operation=step.operation, at=dotted(unlike.path[1:]), why=unlike.why,
        expected=first if step.is_group else first[0], found=last if step.is_group else last[0],
    )  # fmt: skip


def _uneven(test: str, where: str, uneven: Uneven) -> Difference:
    call = (uneven.calls[0] or uneven.calls[-1])[0]
    return Difference(
        test=test, where=where, kind="calls", expected=len(uneven.calls[0]), found=len(uneven.calls[-1]),
        number=call.number, operation=uneven.operation, arguments=call.arguments, file=call.file, line=call.line,
    )  # fmt: skip


def _happenings(usual: Sequence[RecordedTest], divided: RecordedTest, where: str) -> Difference | None:
    runs = [*usual, divided]
    for blocks in zip(*(sorted(each.happenings, key=lambda one: one.block) for each in runs), strict=False):
        if any(each.unsettled for each in blocks):
            continue
        for name in sorted(set().union(*(each.counts for each in blocks))):
            *known, found = [each.counts.get(name, 0) for each in blocks]
            if len(set(known)) == 1 and found != known[0]:
                kind = "happenings"
                return Difference(test=divided.name, where=where, kind=kind, expected=known[0], found=found, at=name)
    return None


def _unsettled(usual: Sequence[RecordedTest], divided: RecordedTest) -> str:
    found = [block.unsettled for each in (*usual, divided) for block in each.happenings if block.unsettled]
    return found[0] if found else ""


def _short(test: RecordedTest) -> str:
    reason = next(iter(test.reason.splitlines()), "")
    shown = reason if len(reason) <= LONGEST else reason[:LONGEST] + "…"
    return f"{shown} ({test.place})" if test.place else shown
