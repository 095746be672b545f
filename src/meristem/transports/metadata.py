"""What surrounds a call on every wire: which fields carry its context, written by one end and read by the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from meristem.context import Context, Trace
from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation
    from meristem.transports.authorize import Principal

Metadata: TypeAlias = Mapping[bytes, bytes]
"""The fields of a request by name in lower case: the head of an HTTP request, the metadata of a gRPC call."""

TRACE: Final = b"traceparent"
TRACE_STATE: Final = b"tracestate"
KEY: Final = b"idempotency-key"
TOKEN: Final = b"meristem-token"
AUTHORIZATION: Final = b"authorization"


class Carried(NamedTuple):
    """The values of the fields that carry a context, None for one that is not sent."""

    trace: bytes | None
    state: bytes | None
    key: bytes | None


def carried(operation: Operation, context: Context) -> Carried:
    """What a client sends of a context; raises CallError for an idempotency key that no field can hold."""
    trace = state = None
    if context.trace is not None:
        trace = context.trace.header().encode("latin-1")
        if context.trace.state:
            state = context.trace.state.encode("latin-1")
    if (key := context.key) is None:
        return Carried(trace, state, None)
    if not (key.isascii() and key.isprintable()):
        message = f"{operation.label}: an idempotency key is printable ASCII, not {key!r}"
        raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
    return Carried(trace, state, key.encode("latin-1"))


def remaining(operation: Operation, deadline: float, address: object) -> float:
    """Seconds that a client leaves to the server; raises CallError when none are left, so nothing is sent."""
    left = deadline - time.monotonic()
    if left < 0.001:  # wires count in whole milliseconds
        message = f"{operation.label}: the deadline passed before the call was sent to {address}"
        raise CallError(Code.DEADLINE_EXCEEDED, message, may_have_happened=False)
    return left


def context_of(
    principal: Principal | None, deadline: float | None, trace: bytes | None, state: bytes | None, key: bytes | None
) -> Context:
    """The context that a server makes of `Carried` values; `principal` is None for a call from outside."""
    context = Context(deadline)
    if principal is not None:
        context.caller = principal.service
        context.user = principal.user
    if trace is not None:
        told = trace.decode("latin-1"), (state or b"").decode("latin-1")
        context.trace = Trace.parse(*told, foreign=principal is None)
    if key is not None:
        context.key = key.decode("latin-1")
    return context


def context_from(metadata: Metadata, principal: Principal | None = None, deadline: float | None = None) -> Context:
    """As `context_of`, from all fields of a request."""
    read = metadata.get
    return context_of(principal, deadline, read(TRACE), read(TRACE_STATE), read(KEY))
