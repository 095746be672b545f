"""The port to the short way of requests that are forwarded: no task is made while nothing unusual happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.asgi import Scope
    from meristem.transports.http.request import Request

BEGUN: Final = "begun"  # in the state of a scope: what was done for its request, for who goes on with it
RETRIES: Final = "retries"
"""In the state of a scope: how many times more its request may be sent, where that changes nothing."""


class FastOwner(Protocol):
    """The connection whose request goes the short way; it is called by one of these, once, unless its client goes."""

    def passed(self, status: int, head: bytes, body: bytes) -> None:
        """Send the whole answer, of this status; `head` lacks the empty line at its end."""
        ...

    def hand_over(self, begun: Any) -> None:
        """Have the app answer instead: it finds in its scope what was `begun`."""
        ...


class FastRequest(Protocol):
    """A request that is on its way."""

    def lost(self) -> None:
        """The client has gone: nobody wants the answer."""
        ...


class PreparedRequest(Protocol):
    """A request as it goes out, as often as its client sends it in the same bytes."""

    @property
    def request(self) -> Request: ...

    def send(self, owner: FastOwner) -> FastRequest | None:
        """Send it; None where the owner was told to hand it over."""
        ...


class FastPath(Protocol):
    """Finds the short way for requests without a body."""

    def prepare(
        self, request: Request, scope: Callable[[], Scope], before: PreparedRequest | None
    ) -> PreparedRequest | None:
        """The request as it would go out; None for one that goes the long way.

        `before` is the one before it on its connection that went the short way.
        """
        ...
