"""Tasks that take their first step at once, where Python can: a handler that never waits answers in this very turn."""

from __future__ import annotations

import sys
from typing import Any, Final

EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
"""Arguments of `asyncio.Task`."""
