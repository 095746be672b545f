"""The port to a process elsewhere: a client of one address, whatever wire leads there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from meristem.context import Context
    from meristem.contracts.call import Call

Sign: TypeAlias = Callable[["Context"], str]
"""Makes the token that proves to the other side who calls, for whom."""


class EndpointClient(Protocol):
    """Sends calls to one address; connections are opened by the calls that need them."""

    async def drain(self) -> None:
        """Wait until no call is in flight."""
        ...

    async def stop(self) -> None:
        """Close every connection; calls in flight fail as unavailable."""
        ...

    async def call(self, call: Call) -> Any:
        """Send the call, its deadline, trace, identity and key; the reply, or an async iterator of a stream's replies.

        Raises the operation's declared faults as their classes, else CallError, which says whether the call may have
        happened; a connection that broke before the answer came sets its `lost`. A call that is cancelled is
        cancelled there too.
        """
        ...
