"""Which calls of several runs of one test are the same call: compared one by one, as a group, or by their last."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from meristem.testing.divided.trees import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.testing.divided.recorded import RecordedCall

Range: TypeAlias = tuple[int, int]


class AlignedStep(msgspec.Struct):
    """What the tests of all runs did at one point: `calls` has the calls of each run.

    Of several that overlapped the order is nobody's, of those by which a test waited only the last counts.
    """

    operation: str
    calls: list[list[RecordedCall]]

    @property
    def is_group(self) -> bool:
        """Whether several calls are compared without their order."""
        return any(len(each) > 1 for each in self.calls)


class Uneven(msgspec.Struct):
    """An operation is called a different number of times; `counts` has that of each run."""

    operation: str
    counts: list[int]
    calls: list[list[RecordedCall]]


def align(runs: Sequence[Sequence[RecordedCall]]) -> tuple[list[AlignedStep], list[Uneven]]:
    """The steps of several runs of one test, in the first one's order, and the operations that don't match."""
    by_operation: list[dict[str, list[RecordedCall]]] = [_by_operation(each) for each in runs]
    steps: list[AlignedStep] = []
    uneven: list[Uneven] = []
    for operation in dict.fromkeys(each.operation for run in runs for each in run):
        sequences = [each.get(operation, []) for each in by_operation]
        if len({len(each) for each in sequences}) == 1:
            groups = _merged([each for sequence in sequences for each in _overlapping(sequence)], len(sequences[0]))
            # Left out only where every run asked on: what one of them took for its answer is compared.
            passed = set.intersection(*map(_on_the_way, sequences))
            groups = [each for each in groups if each[1] - each[0] > 1 or each[0] not in passed]
            rows = [[sequence[begin:end] for begin, end in groups] for sequence in sequences]
        else:
            # Who asks until something is so asks as often as it takes: only the last answer is one.
            rows = [_without_waiting(each) for each in sequences]
            counts = [len(each) for each in rows]
            if len(set(counts)) != 1:
                uneven.append(Uneven(operation, counts, sequences))
            # As far as they go together, so that what differs before is told, too.
            rows = [each[: min(counts)] for each in rows]
        steps += [AlignedStep(operation, list(calls)) for calls in zip(*rows, strict=True)]
    steps.sort(key=lambda each: each.calls[0][0].number)
    return steps, uneven


def _by_operation(calls: Sequence[RecordedCall]) -> dict[str, list[RecordedCall]]:
    found: dict[str, list[RecordedCall]] = defaultdict(list)
    for each in calls:
        found[each.operation].append(each)
    return found


def _overlapping(calls: Sequence[RecordedCall]) -> list[Range]:
    """The ranges of calls of which each began before one before it had ended."""
    found: list[Range] = []
    begin, latest = 0, -1
    for number, each in enumerate(calls):
        # It began when all before it had ended: a new range.
        if each.began > latest:
            begin = number
        latest = max(latest, each.ended)
        found.append((begin, number + 1))
    return found


def _merged(ranges: Sequence[Range], count: int) -> list[Range]:
    """All of `count` calls in ranges that hold these."""
    found: list[Range] = []
    for begin, end in sorted([*ranges, *((each, each + 1) for each in range(count))]):
        if found and begin < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def _without_waiting(calls: Sequence[RecordedCall]) -> list[list[RecordedCall]]:
    """The calls, each alone; of those that ask the same on one line, one after the other, only the last."""
    found: list[list[RecordedCall]] = []
    last: Any = None
    for each in calls:
        asks = _asks(each)
        if asks is not None and asks == last:
            found[-1] = [each]
        else:
            found.append([each])
        last = asks
    return found


def _on_the_way(calls: Sequence[RecordedCall]) -> set[int]:
    """Which calls only waited for an answer that came later on the same line."""
    found, run = set(), 0
    for number, each in enumerate(calls):
        if number and (_asks(each) is None or _asks(each) != _asks(calls[number - 1])):
            run = number
        is_last = number + 1 == len(calls) or _asks(each) is None or _asks(each) != _asks(calls[number + 1])
        # The same answer all along was no waiting: a test asked several times on purpose.
        if is_last and len({text(waited.outcome) for waited in calls[run : number + 1]}) > 1:
            found |= set(range(run, number))
    return found


def _asks(call: RecordedCall) -> Any:
    # Only a safe call can be a question that is asked again: any other does something each time.
    return (call.file, call.line, text(call.arguments)) if call.safe else None
