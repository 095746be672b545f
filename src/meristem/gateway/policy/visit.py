"""One request at the gateway, and what looks at it on its way in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec

from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.context import Identity
    from meristem.transports.http.request import Request

Violation: TypeAlias = Literal["denied", "unauthenticated", "limited"]


class Visit(msgspec.Struct, gc=False):
    """A request on a `route`: its answer, a refusal too, is given `fields`; all of `leaving` is called at its end.

    `path` and `host` are what checks look at, for they have one spelling each: that of `canonical_path`, without
    escapes, and of `host_name`, empty for a request without one. `user` is who sends it and `api_key` the name of the
    key that it came with, where a check has found that out. What a limit took is given back by `charges` where a later
    one refuses. A check that refuses may say `by` which part of it, `why` where the response does not, and whether that
    is a `violation` for which an address is banned.
    """

    request: Request
    route: str
    path: bytes = b"/"
    host: str = ""
    fields: list[Field] = []
    leaving: list[Callable[[], None]] = []
    user: Identity | None = None
    api_key: str = ""
    charges: list[Callable[[], None]] = []
    by: str = ""
    why: str = ""
    violation: Violation | None = None

    def give_back(self) -> None:
        """Undo what limits took for this request, which one of them refuses."""
        charges, self.charges = self.charges, []
        for each in charges:
            each()


Outcome: TypeAlias = Response | None


class Check(Protocol):
    """One thing that is looked at: refuses by a response, lets go on by None, or takes its time."""

    name: str

    def __call__(self, visit: Visit, /) -> Outcome | Awaitable[Outcome]: ...
