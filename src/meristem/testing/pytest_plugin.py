"""pytest's report of a test that failed says which calls were repeated on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from meristem.testing.repetitions import Repetitions, watched

if TYPE_CHECKING:
    from collections.abc import Generator

REPEATED: Final = pytest.StashKey[Repetitions]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """From the setup of a test to its teardown, what is repeated is its doing."""
    with watched() as found:
        item.stash[REPEATED] = found
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure is shown with what was repeated before it."""
    report = yield
    if report.failed and (text := item.stash[REPEATED].told()):
        report.sections.append(("Meristem: calls sent twice on purpose", text))
    return report
