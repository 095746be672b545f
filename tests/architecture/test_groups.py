"""Tests that share what is dear to start are run by one worker."""

import pytest


@pytest.mark.xdist_group("groups")
def test_the_scheduler_of_xdist_is_told_of_a_group(request):
    """It reads the group off a test's name; see conftest.py."""
    assert request.node.nodeid.endswith("@groups") is bool(getattr(request.config.option, "loadgroup", False))
