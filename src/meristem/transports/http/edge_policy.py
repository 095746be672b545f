"""The port to what stands before everything that a public address serves: who may come in, and with what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.asgi import Field
    from meristem.transports.http.request import AnswerTally, AnswerTerms, Request


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A request that may come in: its answer has `fields` more, and `left` is called once when that is out.

    Its answer is as the `terms` say, its body has at most `body_bytes`, and an operation is answered, or the answer of
    an app has begun, within `timeout` seconds. Where it is forwarded and changes nothing, it may be sent
    `retries` times more. The `tally` counts what it is answered with.
    """

    fields: Sequence[Field] = ()
    left: Callable[[], None] | None = None
    terms: AnswerTerms | None = None
    body_bytes: int | None = None
    timeout: float | None = None
    retries: int = 0
    tally: AnswerTally | None = None


Verdict: TypeAlias = Admitted | Response
"""What becomes of a request: it is admitted, or answered so."""


class Pending(NamedTuple):
    """A verdict that takes its time; `left` is called where the client goes before it is there."""

    verdict: Awaitable[Verdict]
    left: Callable[[], None]


class EdgePolicy(Protocol):
    """Decides about each request of a public address, RPC, REST, apps and WebSockets alike, before anything else.

    Who sends it is for this to say, as `request.user`.
    """

    @property
    def version(self) -> object:
        """Another one once it decides by other rules: what is remembered of earlier requests is forgotten then."""
        ...

    def check(self, request: Request) -> Verdict | Pending:
        """The verdict, or one that takes its time: then the connection reads no further meanwhile.

        The address of `request.client` is known. A request may come more than once as the same object, where a client
        repeats its head byte for byte.
        """
        ...


CUT_OFF: Final = Response(444, b"", b"")
"""The verdict after which nothing is sent and the connection is cut; it is told of by the status that nginx has for it.
"""
