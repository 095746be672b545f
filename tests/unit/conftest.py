"""The databases that each test of what keeps something is run on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.suites.postgresql import schema_of_its_own


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database of the test's own, on each system that there is an adapter for."""
    if request.param == "sqlite":
        # A killed process loses nothing that it handed to the system: tests need not wait for the disk.
        yield f"sqlite:///{tmp_path}/service.db?synchronous=normal"
        return
    async with schema_of_its_own() as url:
        yield url
