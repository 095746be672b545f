"""Third parties under test run as in life: behind a real server on a free port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest


@pytest.fixture
def serve(serve_app: Callable[..., str]) -> Iterator[Callable[..., httpx.Client]]:
    """``serve(app)`` gives an HTTP client of ``app``, which stops when the test ends."""
    with ExitStack() as stack:

        def start(app: Any, **options: Any) -> httpx.Client:
            return stack.enter_context(httpx.Client(base_url=serve_app(app, **options), timeout=60))

        yield start
