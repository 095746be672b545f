"""What travels with every call, locally and on every wire: deadline, trace, identities and idempotency key."""

from __future__ import annotations

import os
import random
import re
import time
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias, TypedDict, Unpack

import msgspec
from msgspec import structs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from meristem.keys import KeyChain
    from meristem.log_positions import Positions

# section 3.2.2: version ff is invalid, as are ids of zeros alone; a later version than 00 may append fields
TRACEPARENT: Final = re.compile(
    r"(?:00|(?P<later>(?!00|ff)[0-9a-f]{2}))-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<span>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?(later)(?:-.*)?)\Z"
)

# section 3.3.1: the key of a system or of a tenant in one, and a value that does not end with a space
STATE_MEMBER: Final = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
# ids must differ, not be secret: the system's source costs a call by wire as much as a fifth of all its work
IDS: Final = random.Random()  # noqa: S311 - own, so that a program which seeds Python's generator repeats no id
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=IDS.seed)

WHITE: Final = " \t"
ODD: Final = "13579bdf"
DEADLINE_FIELD: Final = "connect-timeout-ms"  # of the Connect protocol: up to ten digits, milliseconds
MOST_MEMBERS: Final = 32
LONG_MEMBER: Final = 128  # goes first where the whole is too long
LONGEST_STATE: Final = 512


class Trace(msgspec.Struct, frozen=True, gc=False):
    """A position in a distributed trace (W3C Trace Context, section 3.2)."""

    trace_id: str
    span_id: str
    sampled: bool = False
    state: str = ""
    foreign: bool = False  # begun by a foreign client, which may not decide what is recorded

    def header(self) -> str:
        """The `traceparent` header, version 00."""
        return f"00-{self.trace_id}-{self.span_id}-01" if self.sampled else f"00-{self.trace_id}-{self.span_id}-00"

    def child(self) -> Trace:
        """A new span below this one."""
        return Trace(self.trace_id, IDS.getrandbits(64).to_bytes(8, "big").hex(), self.sampled, self.state)

    def ids(self) -> Trace:
        """The position with its ids."""
        return self

    @staticmethod
    def start(*, sampled: bool = False) -> Trace:
        """The first span of a new trace."""
        ids = IDS.getrandbits(192).to_bytes(24, "big").hex()
        return Trace(ids[:32], ids[32:], sampled)

    @staticmethod
    def parse(header: str | None, state: str = "", *, foreign: bool = False) -> Trace | None:
        """Read a `traceparent` header and the `tracestate` beside it.

        A malformed header counts as absent, and so does its state; a malformed state alone counts as empty.
        """
        match = TRACEPARENT.match(header.strip(WHITE)) if header else None
        if match is None:
            return None
        _, trace, span, flags = match.groups()
        return Trace(trace, span, flags[1] in ODD, trace_state(state) if state else "", foreign)


def trace_state(text: str) -> str:
    """The members of a `tracestate` header as they travel on (W3C Trace Context, section 3.3.1); empty if malformed.

    Of more than 512 characters the members above 128 are left out, then the last ones: those are the oldest.
    """
    members = [stripped for each in text.split(",") if (stripped := each.strip(WHITE))]
    if len(members) > MOST_MEMBERS:
        return ""
    matches = [STATE_MEMBER.fullmatch(each) for each in members]
    keys = {match[1] for match in matches if match is not None}
    if len(keys) < len(members):  # one is malformed, or a key stands twice
        return ""
    if sum(map(len, members)) + len(members) - 1 > LONGEST_STATE:
        members = [each for each in members if len(each) <= LONG_MEMBER]
    while sum(map(len, members)) + len(members) - 1 > LONGEST_STATE:
        del members[-1]
    return ",".join(members)


NAMING: Final = Lock()  # a call may log from several threads


class Unseen(msgspec.Struct, gc=False, eq=False):
    """A position in a trace that is not sampled: it has no ids until they are asked for.

    Few do: a log line, a call by wire, an event, an error. All calls made below in this process share the object, and
    so the ids. A trace begins with it, or goes on from the `traceparent` that a service of the system sent.
    """

    came: bytes | None = None
    _ids: Trace | None = None
    sampled: ClassVar[bool] = False
    state: ClassVar[str] = ""
    foreign: ClassVar[bool] = False

    def ids(self) -> Trace:
        """The position with its ids, the same whenever it is asked for."""
        ids = self._ids
        if ids is None:
            with NAMING:
                ids = self._ids = self._ids or self._came() or Trace.start()
        return ids

    def _came(self) -> Trace | None:
        return None if self.came is None else Trace.parse(self.came.decode("latin-1"))

    @property
    def trace_id(self) -> str:
        return self.ids().trace_id

    @property
    def span_id(self) -> str:
        return self.ids().span_id

    def header(self) -> str:
        """The `traceparent` header, version 00."""
        return (self._ids or self.ids()).header()

    def child(self) -> Trace:
        """A new span below this one."""
        return self.ids().child()


Position: TypeAlias = Trace | Unseen


class Identity(msgspec.Struct, frozen=True):
    """Who a call is made for: the subject (a stable id), the name to show, the roles held, and for which tenant."""

    subject: str
    name: str = ""
    roles: tuple[str, ...] = ()
    tenant: str = ""

    @property
    def asker(self) -> str:
        """Who asks, and for which tenant: what idempotency keys are told apart by, since they count for one of these.

        Without a tenant it is the subject, as it was before there were tenants. With one it begins as no subject does,
        so that nobody who may choose a name is taken for another user of a tenant.
        """
        return f"\0{len(self.subject)}:{self.subject}{self.tenant}" if self.tenant else self.subject


class Place(msgspec.Struct, frozen=True):
    """The service and the operation (`Payments.charge`) whose code runs now; one for all calls of an operation.

    What the operation reads may be `max_staleness` seconds old, if it says so.
    """

    service: str
    operation: str
    max_staleness: float | None = None


class StepMaker(Protocol):
    """What makes the calls of a saga's function steps of it."""

    def operation(self, operation: Any, call: Callable[[Any], Awaitable[Any]], request: Any) -> Awaitable[Any]:
        """The step that `call(request)` is, a call of `operation`; it begins when it is awaited."""
        ...

    def start(self, name: str, call: Callable[[], Awaitable[str]], request: Any, made: Callable[[str], Any]) -> Any:
        """The step that starts a saga which is left to itself; gives what is made of its id."""
        ...

    def ask(self, name: str, call: Callable[[], Awaitable[Any]], request: Any, reply: Any, *, lasts: bool) -> Any:
        """The step that asks such a saga; one that `lasts` waits for its end."""
        ...


class Context(msgspec.Struct):
    """What surrounds the work that runs now; `current()` gives it."""

    # Seen by the garbage collector, since the steps of a saga know the context that they are in: a cycle.
    deadline: float | None = None  # on the clock of time.monotonic(), seconds
    trace: Position | None = None
    caller: str | None = None  # the service that calls, None at the edge
    user: Identity | None = None
    baggage: str = ""  # the values that travel, as a list of W3C Baggage; see `Travelling`
    key: str | None = None  # the idempotency key of the call that runs now
    keys: KeyChain | None = None  # derives the keys of the calls made below
    place: Place | None = None  # where the call is answered, for logs
    steps: StepMaker | None = None  # in the function of a saga: each call there is a step
    positions: Positions | None = None  # what was written for this request; None where nobody follows that

    def remaining(self) -> float | None:
        """Seconds until the deadline, never below zero; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def headers(self) -> dict[str, str]:
        """The header fields with which an HTTP request to anybody goes on with what runs now.

        `httpx.get(url, headers=current().headers())` works with any client: `traceparent` and `tracestate` (W3C Trace
        Context), and what is left until the deadline as `connect-timeout-ms` (Connect protocol). The user, the key and
        the values that travel are not among them: those are for this system alone.
        """
        found: dict[str, str] = {}
        if self.trace is not None:
            found["traceparent"] = self.trace.header()
            if self.trace.state:
                found["tracestate"] = self.trace.state
        if (left := self.remaining()) is not None:
            found[DEADLINE_FIELD] = str(max(1, int(left * 1000)))  # the protocol knows no timeout of nothing
        return found


EMPTY: Final = Context()
CURRENT: Final[ContextVar[Context]] = ContextVar("meristem.context", default=EMPTY)


def current() -> Context:
    """The context of the call that runs now; an empty one outside of any call."""
    return CURRENT.get()


class Changes(TypedDict, total=False):
    """What `using` changes of a context."""

    user: Identity | None
    key: str | None
    deadline: float | None


@contextmanager
def using(context: Context | None = None, /, **changes: Unpack[Changes]) -> Iterator[Context]:
    """Run a block with another user, key or deadline than now, or within a whole other `context`.

    `using(user=Identity("42"))` keeps deadline, trace, caller and key. Each call of a block `using(key=…)` goes out
    under this very key; none is derived.
    """
    before = CURRENT.get()
    if context is None:
        context = before
    elif context.steps is not before.steps:  # the function of a saga is in it whatever surrounds it else
        context = structs.replace(context, steps=before.steps)
    if changes:
        context = structs.replace(context, **changes)
    if "key" in changes:
        context.keys = None
    CURRENT.set(context)
    try:
        yield context
    finally:
        CURRENT.set(before)  # not by a token: work that is overdue ends in another task than it began in
