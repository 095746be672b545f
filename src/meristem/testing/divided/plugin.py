"""The plugin with which `meristem check --divided` runs pytest: it places systems, records them, and chooses tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from meristem.supervision.lifeline import hold
from meristem.testing.divided.choice import Choice
from meristem.testing.divided.recorded import EndedPhase, RecordWriter
from meristem.testing.divided.recording import CallRecorder
from meristem.testing.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Generator


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `meristem check --divided` says to each run."""
    group = parser.getgroup("meristem")
    group.addoption("--divided-where", choices=["local", "wire", "processes"], default="local")
    group.addoption("--divided-records", type=Path)
    group.addoption("--divided-choice", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Watch every system that a test of this process runs."""
    folder = config.getoption("--divided-records")
    if folder is None:
        raise pytest.UsageError("this plugin is for `meristem check --divided`; run that")
    # A check that is killed takes its runs along, and they take their processes.
    hold(os.environ)
    config.pluginmanager.register(Watching(config, RecordWriter(folder)), "meristem-divided-watching")


class Watching:
    """Tells the recorder which test runs, and writes down how it ended."""

    def __init__(self, config: pytest.Config, writer: RecordWriter) -> None:
        self._choice = msgspec.json.decode(config.getoption("--divided-choice").read_bytes(), type=Choice)
        self._writer = writer
        self._recorder = CallRecorder(config.getoption("--divided-where"), writer, pytest.skip)
        Watch.watcher = self._recorder

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what this run is not about."""
        left_out = [each for each in items if not self._choice.takes(each.nodeid)]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [each for each in items if self._choice.takes(each.nodeid)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """What happens from now on is this test's doing."""
        self._recorder.next_test(item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write down how a phase of a test ended."""
        report = yield
        # A set-up that went well says nothing; one that failed is the test's outcome.
        if report.when == "call" or not report.passed:
            reason, place = _why(report)
            self._writer.write(EndedPhase(item.nodeid, report.outcome, reason, place))
        return report

    def pytest_unconfigure(self) -> None:
        """The run is over."""
        Watch.watcher = None
        self._writer.close()


def _why(report: pytest.TestReport) -> tuple[str, str]:
    """The reason of a failure as pytest's summary has it, and where it stands."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return crash.message, f"{crash.path}:{crash.lineno}"
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        return reason.removeprefix("Skipped: "), f"{path}:{line}"
    return str(report.longrepr or ""), ""
