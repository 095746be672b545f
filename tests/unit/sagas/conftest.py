"""A database, other services and a clock for each test."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the kit beside the tests; they are no package

from sagakit import Remote, opened

from meristem.storage.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "bookings.db") as made:
        yield made


@pytest.fixture
def remote() -> Remote:
    return Remote()
