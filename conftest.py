"""Every test ends, also one that has failed; and how many run side by side."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from _pytest.nodeid import NodeId
from pytest_timeout import get_env_settings

# Here, before workers begin: all of them collect the same tests, also at midnight (see tests/placements/conftest.py).
os.environ.setdefault("PARITY_SEED", str(datetime.now(UTC).toordinal()))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the names of tests that fail, without the group that xdist appends, to the file that CI asks for."""
    names = os.environ.get("FAILED_TESTS")
    if names and report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        name, mark, _ = report.nodeid.rpartition("@")
        with Path(names).open("a", encoding="utf-8") as file:
            file.write((name if mark and "]" not in report.nodeid[len(name) :] else report.nodeid) + "\n")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Set the timer anew: pytest-timeout takes it away at a failure, and what a failed test left may never end."""
    hooks = item.config.pluginmanager.hook
    hooks.pytest_timeout_cancel_timer(item=item)
    hooks.pytest_timeout_set_timer(item=item, settings=get_env_settings(item.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto` is two workers more than processors: much of the time tests wait for processes, timers and servers."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell xdist's scheduler the groups of tests: since pytest 9.2 it reads an item's name from another place.

    pytest-xdist 3.8 writes `name@group` to `_nodeid`, which nothing reads any more, so no group was kept together.
    """
    for item in items:
        if grouped := vars(item).get("_nodeid"):
            item._id = NodeId.parse(grouped)  # noqa: SLF001 - as xdist does
