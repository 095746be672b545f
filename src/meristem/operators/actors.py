"""Who asks or acts at the operators' addresses: in which role, and how that was shown."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, Literal, NamedTuple, TypeAlias

Role: TypeAlias = Literal["viewer", "operator"]
Means: TypeAlias = Literal["cookie", "bearer", "socket", "command"]


class Actor(NamedTuple):
    """Somebody who may look on, and as an operator also act.

    `means` is the session of a browser, a token, or the Unix socket, which only the system's own user and root can
    open, or a command on databases where nothing runs. `name` is whose token it was, empty for one that is shared.
    `address` is where a TCP connection comes from, `user_id` whose process it is at the other end of a socket, or the
    command, where the operating system tells.
    """

    role: Role
    means: Means
    address: str = ""
    name: str = ""
    user_id: int | None = None


ACTING: Final[ContextVar[Actor | None]] = ContextVar("meristem.operators.acting", default=None)
"""Who asks what is answered now."""
