"""Every test ends, also one that has failed."""

from __future__ import annotations

import pytest
from pytest_timeout import get_env_settings


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Set the timer anew: pytest-timeout takes it away at a failure, and what a failed test left may never end."""
    hooks = item.config.pluginmanager.hook
    hooks.pytest_timeout_cancel_timer(item=item)
    hooks.pytest_timeout_set_timer(item=item, settings=get_env_settings(item.config))
