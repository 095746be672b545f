"""What surrounds a call on every wire: which fields carry its context, written by one end and read by the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from meristem.baggage import admitted, sound
from meristem.context import Context, Trace, Unseen
from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Code
from meristem.head_fields import AUTHORIZATION, BAGGAGE, POSITIONS, TRACE, TRACE_STATE
from meristem.keys import check_key
from meristem.log_positions import Positions

if TYPE_CHECKING:
    from meristem.context import Identity
    from meristem.contracts.operation import Operation
    from meristem.transports.authorize import Principal

Metadata: TypeAlias = Mapping[bytes, bytes]
"""The fields of a request by name in lower case: the head of an HTTP request, the metadata of a gRPC call."""

KEY: Final = b"idempotency-key"
TOKEN: Final = b"meristem-token"
SINGLE: Final = (AUTHORIZATION, TOKEN, KEY)
"""Fields of one value, whose second line somebody else may believe: a request that has one twice is refused."""

UNSAMPLED: Final = b"-00"  # at the end of a `traceparent`

Carried: TypeAlias = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]
"""The values of the fields that carry a context: trace, its state, baggage, key, positions; None for what isn't sent.
"""


def carried(operation: Operation, context: Context) -> Carried:
    """What a client sends of a context; raises CallError for an idempotency key or a baggage that no field can hold.

    A call without effect has none.
    """
    trace = state = baggage = positions = None
    if context.positions is not None:
        positions = context.positions.text().encode()
    if (position := context.trace) is not None:
        trace = position.header().encode("latin-1")
        if position.state:
            state = position.state.encode("latin-1")
    if context.baggage:
        baggage = _checked(operation, context.baggage)
    if (key := context.key) is None or operation.semantics is Semantics.SAFE:
        return trace, state, baggage, None, positions
    check_key(operation, key)
    return trace, state, baggage, key.encode("latin-1"), positions


def _checked(operation: Operation, baggage: str) -> bytes:
    if not sound(baggage):
        message = f"{operation.label}: the context's baggage is no list of values that travel: set each by its using()"
        raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
    return baggage.encode()


def too_late(operation: Operation, address: object) -> CallError:
    """The error of a client whose call has no time left: nothing is sent."""
    message = f"{operation.label}: the deadline passed before the call was sent to {address}"
    return CallError(Code.DEADLINE_EXCEEDED, message, may_have_happened=False)


def context_of(
    principal: Principal | None,
    user: Identity | None,
    deadline: float | None,
    trace: bytes | None,
    state: bytes | None,
    baggage: bytes | None,
    key: bytes | None,
    positions: bytes | None = None,
) -> Context:
    """The context that a server makes of `Carried` values.

    A call from outside has no `principal`, but perhaps a `user` who has signed in. A trace from there is marked as
    foreign, so that nobody outside decides what is recorded. Of the values that travel, all that a service sends
    count, and of those from outside the public ones: a malformed one of these raises CallError `invalid_argument`.
    """
    context = Context(deadline)
    if principal is not None:
        # Of a caller in the system its token alone says for whom it acts; a bearer token beside it means nothing.
        context.caller = principal.service
        context.user = principal.user
    else:
        context.user = user
    if trace is not None and principal is not None and state is None and trace.endswith(UNSAMPLED):
        context.trace = Unseen(trace)
    elif trace is not None:
        stated = "" if state is None else state.decode("latin-1")
        context.trace = Trace.parse(trace.decode("latin-1"), stated, foreign=principal is None)
    if baggage is not None:
        sent = baggage.decode("latin-1")
        context.baggage = admitted(sent) if principal is None else sound(sent)
    if key is not None:
        context.key = key.decode("latin-1")
    if positions is not None:
        context.positions = Positions.read(positions.decode("latin-1"))
    return context


def context_from(
    metadata: Metadata, principal: Principal | None, user: Identity | None, deadline: float | None = None
) -> Context:
    """As `context_of`, from all fields of a request."""
    read = metadata.get
    fields = read(TRACE), read(TRACE_STATE), read(BAGGAGE), read(KEY), read(POSITIONS)
    return context_of(principal, user, deadline, *fields)
