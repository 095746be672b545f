"""A database, other services and a clock for each test."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the kit beside the tests; they are no package

from sagakit import Remote, opened_at

from meristem.storage.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with opened_at(database_url) as made:
        yield made


@pytest.fixture
def remote() -> Remote:
    return Remote()
