"""What a run of tests leaves behind to be compared: each call from outside, what it led to, and how each test ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.testing.published import PublishedPlain

if TYPE_CHECKING:
    from pathlib import Path


class RecordedCall(msgspec.Struct, tag="call", tag_field="kind"):
    """A call that a test made: the `number`-th of its calls, over when `ended` things had begun or ended.

    `outcome` is `{"reply": …}`, `{"fault": "OutOfStock", "code": …, "fields": …}`, `{"error": "not_found", …}` or
    `{"exception": "MisuseError"}`. `message` is for people: it is not compared.
    """

    test: str
    number: int
    began: int
    ended: int
    operation: str
    safe: bool
    arguments: Any
    outcome: dict[str, Any]
    message: str
    file: str
    line: int


class Happenings(msgspec.Struct, tag="happenings", tag_field="kind"):
    """What happened in the `block`-th system of a test: how often each event was published and each saga ended.

    `unsettled` says why that was not the end of it. `events` are all that were published since the system started.
    """

    test: str
    block: int
    counts: dict[str, int]
    unsettled: str = ""
    events: list[PublishedPlain] = []


class PlacedTest(msgspec.Struct, tag="placed", tag_field="kind"):
    """A test runs a system where it was told to."""

    test: str


class StayedTest(msgspec.Struct, tag="stayed", tag_field="kind"):
    """A test, or a system of it, could not be run where it was told to, for this reason."""

    test: str
    reason: str


class EndedPhase(msgspec.Struct, tag="ended", tag_field="kind"):
    """A phase of a test ended: `passed`, `failed` or `skipped`."""

    test: str
    outcome: str
    reason: str = ""
    place: str = ""


Record = RecordedCall | Happenings | PlacedTest | StayedTest | EndedPhase
_DECODER: Final = msgspec.json.Decoder(Record)
_ORDER: Final = ("", "passed", "skipped", "failed")  # of several phases the worst is the test's


class RecordedTest(msgspec.Struct):
    """All that one test left behind."""

    name: str
    calls: list[RecordedCall] = []
    happenings: list[Happenings] = []
    placed: bool = False
    stayed: str = ""
    outcome: str = ""
    reason: str = ""
    place: str = ""


class RecordWriter:
    """Appends the records of this process to a file of its own in `folder`: tests may run in several processes."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / f"{os.getpid()}.jsonl").open("ab", buffering=0)

    def write(self, record: Record) -> None:
        """Append a record, at once: the process may not live to its end."""
        self._file.write(msgspec.json.encode(record) + b"\n")

    def close(self) -> None:
        """Write no more."""
        self._file.close()


def read(folder: Path) -> dict[str, RecordedTest]:
    """The tests of a run, in the order in which each process ran them."""
    found: dict[str, RecordedTest] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            record = _DECODER.decode(line)
            _add(record, found.setdefault(record.test, RecordedTest(record.test)))
    for test in found.values():
        test.calls.sort(key=lambda each: each.number)
    return found


def _add(record: Record, test: RecordedTest) -> None:
    match record:
        case RecordedCall():
            test.calls.append(record)
        case Happenings():
            test.happenings.append(record)
        case PlacedTest():
            test.placed = True
        case StayedTest():
            test.stayed = test.stayed or record.reason
        case EndedPhase():
            if _ORDER.index(record.outcome) > _ORDER.index(test.outcome):
                test.outcome, test.reason, test.place = record.outcome, record.reason, record.place
