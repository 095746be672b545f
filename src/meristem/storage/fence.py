"""A fence: what a replica writes under a lease is committed only as long as it holds that."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import StorageError

if TYPE_CHECKING:
    from sqlalchemy.sql import Executable

    from meristem.storage.statement_cache import Parameters


class LeaseLostError(StorageError):
    """Another replica holds by now what this one was about to write under its lease; nothing was written."""


class Fence(msgspec.Struct):
    """A `statement` on the database `of` that changes no row once the lease is lost: each commit there runs it.

    It `stands` as long as the work lasts, and before a work that has lost its lease for ever: what that has begun
    beside itself may outlive it.
    """

    of: object
    statement: Executable
    parameters: Parameters
    lost: LeaseLostError
    stands: bool = True


_FENCE: Final[ContextVar[Fence | None]] = ContextVar("fence", default=None)


def stand_behind(fence: Fence) -> None:
    """Have the fence in all that the running task does from here on, and in the tasks that it begins."""
    _FENCE.set(fence)


def fence_of(database: object) -> Fence | None:
    """The fence before what the running task writes into a database, if there is one."""
    fence = _FENCE.get()
    return fence if fence is not None and fence.stands and fence.of is database else None
