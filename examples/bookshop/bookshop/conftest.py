"""What the tests of the services share: databases that vanish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meristem import Service, System
from meristem.testing import running


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """`async with run(SomeService, ...) as app:` runs services with databases that vanish with the test."""

    def start(*services: type[Service], **options: Any) -> Any:
        database = f"sqlite:///{tmp_path}/{{service}}.db"
        return running(System("bookshop", services=services), database=database, **options)

    return start
