"""The one answerer of unary calls: what every protocol does in the same order, with a codec for what differs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from meristem.transports.errors import Shown, shield, show, written

if TYPE_CHECKING:
    from meristem.context import Identity
    from meristem.contracts.call import Call, Handler
    from meristem.contracts.operation import Operation
    from meristem.errors import CallError, Fault
    from meristem.transports.authorize import Authorizer, Principal


LIGHT: Final = 64 * 1024
"""A body up to this size is read at once: the event loop stands still meanwhile."""

# One for the process, for there is one interpreter's lock: two threads could take it from the event loop in turn.
# It begins with the first large body, which no application of small ones ever sees.
READER: Final = ThreadPoolExecutor(1, "meristem-reader")


class Signed(Protocol):
    """A request as the answerer sees it: the proofs of who sends it, and its weight. All else in it is its codec's."""

    @property
    def heavy(self) -> bool:
        """Whether reading its message takes so long that others must not wait for it."""
        ...

    @property
    def token(self) -> str | None:
        """The token of a service of the system."""
        ...

    @property
    def bearer(self) -> str | None:
        """The bearer token of a user."""
        ...

    @property
    def user(self) -> Identity | None:
        """The user, where a policy has found out who sends the request: then the bearer token is not asked for."""
        ...


RequestT_contra = TypeVar("RequestT_contra", bound=Signed, contravariant=True)
ResponseT_co = TypeVar("ResponseT_co", covariant=True)
RequestT = TypeVar("RequestT", bound=Signed)
ResponseT = TypeVar("ResponseT")


class Codec(Protocol[RequestT_contra, ResponseT_co]):
    """One operation in one protocol."""

    @property
    def operation(self) -> Operation: ...

    @property
    def handler(self) -> Handler: ...

    def read(self, request: RequestT_contra, principal: Principal | None, user: Identity | None) -> Call:
        """The call; raises CallError for fields that are malformed, and for a message that does not fit its type.

        Where the request is heavy, this runs in a thread.
        """
        ...

    def reply(self, request: RequestT_contra, reply: Any) -> ResponseT_co:
        """What carries a reply to the client that sent the request."""
        ...

    def failure(self, request: RequestT_contra, error: Fault | CallError) -> ResponseT_co:
        """What carries an error there."""
        ...


async def answer(codec: Codec[RequestT, ResponseT], request: RequestT, authorizer: Authorizer) -> ResponseT:
    """The answer to a request: who may not call is refused before the message is read.

    Only cancellation and the end of the process are raised: whoever awaits this must not take silence for an answer.
    """
    operation, principal, call = codec.operation, None, None
    try:
        principal = authorizer.principal(operation, request.token)
        user = request.user
        if user is None and principal is None and request.bearer is not None:
            user = await authorizer.user(request.bearer)
        if request.heavy:
            call = await asyncio.get_running_loop().run_in_executor(READER, codec.read, request, principal, user)
        else:
            call = codec.read(request, principal, user)
        reply = await codec.handler(call)
        if operation.stream and authorizer.is_outside(principal):
            reply = Shown(operation, reply, call.context)
        return codec.reply(request, reply)
    except Exception as error:  # a boundary: whatever fails is logged by `shield` and answered
        if not authorizer.is_outside(principal):
            told = shield(operation, error)
        else:
            told = show(operation, error, None if call is None else call.context)
        return written(operation, told, lambda each: codec.failure(request, each))
