"""The port to a database's twin: of the same shape and without rows, so that a migration can be tried in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from meristem.storage.survival import Effect


class Twin(Protocol):
    """A twin that is open. It knows the revisions that its database is at, and nothing that is done to it remains."""

    @property
    def connection(self) -> Connection:
        """What Alembic works on."""
        ...

    def tolls(self, statements: Sequence[str]) -> Sequence[Effect]:
        """What the statements that were just run would cost those who work beside them: locks, and for how long."""
        ...
