"""What surrounds a call that arrives by HTTP, from the fields of its head: alike for RPC and REST."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from meristem.context import Context, Trace
from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from meristem.context import Identity

Head: TypeAlias = dict[bytes, bytes]


class Peer(Protocol):
    """Who a verified token speaks for: the calling service and the user it acts for, either may be absent."""

    @property
    def service(self) -> str | None: ...

    @property
    def user(self) -> Identity | None: ...


Verify: TypeAlias = Callable[[str], Peer | None]
Authenticate: TypeAlias = Callable[[str], Awaitable["Identity | None"]]
"""Turns a bearer token into an identity, None for one that is not valid."""


def context_of(
    caller: Peer | None, timeout: bytes | None, trace: bytes | None, state: bytes | None, key: bytes | None
) -> Context:
    """The context of a call; `caller` is None for one from outside. Raises CallError for a malformed timeout."""
    context = Context(None if timeout is None else _deadline(timeout))
    if caller is not None:
        context.caller = caller.service
        context.user = caller.user
    if trace is not None:
        told = trace.decode("latin-1"), (state or b"").decode("latin-1")
        context.trace = Trace.parse(*told, foreign=caller is None)
    if key is not None:
        context.key = key.decode("latin-1")
    return context


def context_from(head: Head, caller: Peer | None = None, timeout: bytes | None = None) -> Context:
    """As `context_of`, from a whole head."""
    return context_of(caller, timeout, head.get(b"traceparent"), head.get(b"tracestate"), head.get(b"idempotency-key"))


async def signed_in(head: Head, authenticate: Authenticate | None) -> Identity | None:
    """The user whose bearer token a head carries, None without one; raises CallError for one that is not valid."""
    scheme, _, token = head.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or authenticate is None:
        return None
    user = await authenticate(token.strip())
    if user is None:
        message = "the bearer token is not valid; sign in again"
        raise CallError(Code.UNAUTHENTICATED, message, may_have_happened=False)
    return user


def _deadline(timeout: bytes) -> float:
    if not timeout.isdigit() or len(timeout) > 10:
        message = f"connect-timeout-ms must be up to 10 digits, not {timeout.decode('latin-1')!r}"
        raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
    return time.monotonic() + int(timeout) / 1000
