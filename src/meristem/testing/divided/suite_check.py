"""Runs a suite in one process twice, over the wire and in processes, and finds the first test that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import msgspec

from meristem.testing.divided.comparison import Difference, Incomparable, Same, compare, differs_by_itself

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.testing.divided.comparison import Verdict
    from meristem.testing.divided.recorded import RecordedTest
    from meristem.testing.divided.runs import Run
    from meristem.testing.watching import Where

ELSEWHERE: Final[tuple[Where, ...]] = ("wire", "processes")
NAMES: Final[Mapping[str, str]] = {"local": "in one process", "wire": "over the wire", "processes": "in processes"}
AGAIN: Final = {"local": 2, "wire": 1, "processes": 1}
"""How often a test that differs is run once more: what differs by chance does not do so each time."""

KnownRuns: TypeAlias = "Sequence[Mapping[str, RecordedTest]]"


class SuiteReport(msgspec.Struct):
    """What the runs showed. `failed` are tests that fail in one process, by reason: then nothing was compared.

    `compared` counts tests by placement, `apart` are those that could not be compared there and why, `alone` counts
    those that run no system. `varying` counts values that differ from run to run by themselves, `unsettled` names
    tests that left something under way.
    """

    failed: dict[str, str] = {}
    differences: list[Difference] = []
    compared: dict[str, int] = {}
    apart: dict[str, dict[str, str]] = {}
    unsettled: dict[str, str] = {}
    alone: int = 0
    varying: dict[str, int] = {}

    @property
    def well(self) -> bool:
        """Whether the suite passes in one process, and what could be compared elsewhere does not differ."""
        return not self.failed and not self.differences and any(self.compared.values())


class SuiteRunner(Protocol):
    """Runs tests in a placement; all of them without `only`."""

    def run(self, where: Where, only: Sequence[str] | None = None) -> Run:
        """Run them, and give what they left behind."""
        ...


def check(runs: SuiteRunner, say: Callable[[str], None]) -> SuiteReport:
    """Run the tests everywhere, saying how far it is; it ends with the first placement in which a test differs."""
    report = SuiteReport()
    usual = [_run(runs, "local", None, say, 1)]
    report.failed = {name: test.reason for name, test in usual[0].items() if test.outcome == "failed"}
    chosen = [name for name, test in usual[0].items() if test.placed]
    report.alone = sum(not test.placed and not test.stayed for test in usual[0].values())
    here = {name: test.stayed for name, test in usual[0].items() if test.stayed and not test.placed}
    # What fails in one process would fail elsewhere as well, and tell nothing of placements.
    if report.failed or not chosen:
        report.apart = {"local": here} if here else {}
        return report
    # Once more in the same placement: what differs now varies by itself.
    usual.append(_run(runs, "local", chosen, say, 2))
    for name in chosen:
        if name not in usual[1]:
            here[name] = "it did not run again"
        elif reason := differs_by_itself(_of(name, usual)):
            here[name] = reason
    report.apart["local"] = here
    chosen = [name for name in chosen if name not in here]
    for number, where in enumerate(ELSEWHERE, 3):
        found = _run(runs, where, chosen, say, number)
        _judge(report, runs, usual, found, where, say)
        if missing := {name: "it did not run there" for name in chosen if name not in found}:
            report.apart[where] = report.apart.get(where, {}) | missing
        # The next placement would mostly tell the same difference once more, after as long a run.
        if report.differences:
            break
    return report


def _run(
    runs: SuiteRunner, where: Where, only: Sequence[str] | None, say: Callable[[str], None], number: int
) -> Mapping[str, RecordedTest]:
    said = f"{number}/{len(ELSEWHERE) + 2} {NAMES[where]}{', again' if number == 2 else ''}"
    say(f"{said} …")
    if only is not None and not only:
        say(f"{said}: no test")
        return {}
    run = runs.run(where, only)
    count = len(run.tests)
    say(f"{said}: {count} test{'' if count == 1 else 's'} in {run.seconds:.1f} s")
    return run.tests


def _of(name: str, runs: Sequence[Mapping[str, RecordedTest]]) -> list[RecordedTest]:
    return [run[name] for run in runs if name in run]


def _judge(
    report: SuiteReport,
    runs: SuiteRunner,
    usual: KnownRuns,
    found: Mapping[str, RecordedTest],
    where: Where,
    say: Callable[[str], None],
) -> None:
    """Compare each test; those that differ are run again, everywhere, before they are told."""
    apart = {name: test.stayed for name, test in found.items() if test.stayed}
    verdicts = {name: compare(_of(name, usual), test, where) for name, test in found.items() if name not in apart}
    if suspects := {name: found[name] for name, each in verdicts.items() if isinstance(each, Difference)}:
        say(
            "1 test differs; it runs once more …"
            if len(suspects) == 1
            else f"{len(suspects)} tests differ; they run once more …"
        )
        verdicts |= _confirmed(runs, usual, suspects, where)
    for name, verdict in verdicts.items():
        match verdict:
            case Difference():
                report.differences.append(verdict)
            case Incomparable():
                apart[name] = verdict.reason
            case Same():
                report.varying[where] = report.varying.get(where, 0) + verdict.varying
                if verdict.unsettled:
                    report.unsettled[name] = verdict.unsettled
    report.compared[where] = sum(not isinstance(each, Incomparable) for each in verdicts.values())
    if apart:
        report.apart[where] = apart


def _confirmed(
    runs: SuiteRunner, usual: KnownRuns, found: Mapping[str, RecordedTest], where: Where
) -> dict[str, Verdict]:
    """What tests show that differ, when all of it is run again: a difference comes again, what varies is learned."""
    names = list(found)
    known = [*usual, *(runs.run("local", names).tests for _ in range(AGAIN["local"]))]
    divided = [*(runs.run(where, names).tests for _ in range(AGAIN[where])), found]
    judged: dict[str, Verdict] = {}
    for name in names:
        verdicts = [compare(_of(name, known), test, where) for test in _of(name, divided)]
        others = [each for each in verdicts if not isinstance(each, Difference)]
        judged[name] = others[0] if others else verdicts[0]
        if 0 < len(others) < len(verdicts):
            judged[name] = Incomparable(f"it differs now and then {NAMES[where]}")
    return judged
