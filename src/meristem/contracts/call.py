"""The narrow waist: a call, the handler that answers it, and the middleware that wraps a handler."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from meristem.errors import CallError, Code, MisuseError
from meristem.variables import awaited

if TYPE_CHECKING:
    from meristem.context import Context
    from meristem.contracts.operation import Operation


class Call(msgspec.Struct, eq=False, gc=False):
    """One call of an operation: its request message and what surrounds it.

    `request` is an instance of `operation.request`, or `Items` of them for an operation that takes a stream; a handler
    returns the reply, or an async iterator of replies for an operation that streams. Nothing that it refers to refers
    to it for longer than it is answered, so the collector of cycles need not know it, which makes it cheaper.
    """

    operation: Operation
    request: Any
    context: Context
    reply: Any = None  # on its way out of the method's own variables

    @property
    def repeatable(self) -> bool:
        """Whether its request can be sent again; the items of a stream that were taken are gone."""
        return not self.operation.takes_stream or not getattr(self.request, "begun", True)


Handler: TypeAlias = Callable[[Call], Awaitable[Any]]
Middleware: TypeAlias = Callable[[Handler], Handler]


class ServedOperation(NamedTuple):
    """An operation and the handler that answers it in this process."""

    operation: Operation
    handler: Handler

    def by_rpc(self) -> ServedOperation:
        """The same for who calls by RPC; see `Operation.by_rpc`."""
        return ServedOperation(self.operation.by_rpc(), self.handler)


def compose(handler: Handler, middleware: Iterable[Middleware]) -> Handler:
    """Wrap `handler`, the first middleware outermost."""
    for layer in reversed(tuple(middleware)):
        handler = layer(handler)
    return handler


LOOK: Final = 1.0  # seconds between two looks whether a loop that is waited for still runs
ContractT = TypeVar("ContractT")
Result = TypeVar("Result")


class Connector(Protocol):
    """Gives clients of contracts to code that the container does not construct.

    A contract is taken as what makes a `ContractT`: mypy refuses a protocol class where a type is asked for.
    """

    def client(self, contract: Callable[..., ContractT]) -> ContractT:
        """A client of `contract`, wherever its service runs."""
        ...

    def wait(self, work: Awaitable[Result]) -> Result:
        """Run `work` on the system's event loop and wait for it; for threads without a loop of their own."""
        ...


CONNECTOR: Final[ContextVar[Connector | None]] = ContextVar("meristem.connector", default=None)


@contextmanager
def connected(connector: Connector) -> Iterator[None]:
    """Within the block, and in tasks that begin there, `connector` gives the clients of `Contract.client()`."""
    token = CONNECTOR.set(connector)
    try:
        yield
    finally:
        CONNECTOR.reset(token)


def connector() -> Connector:
    """The connector of the system that the running code belongs to."""
    found = CONNECTOR.get()
    if found is None:
        raise MisuseError(
            "no system runs here: inside of an app that a system hosts there is one; elsewhere write "
            "`async with connect('http://…') as system:` and ask `system.client(…)`"
        )
    return found


def block_on(work: Awaitable[Result]) -> Result:
    """The result of a call, for code that is not async: `offers = block_on(Search.client().find("Porto"))`.

    Raises MisuseError where an event loop runs: await the call there.
    """
    return connector().wait(work)


def wait_on(loop: asyncio.AbstractEventLoop, work: Awaitable[Result]) -> Result:
    """Run `work` on a loop that turns in another thread, and wait for its result.

    Raises CallError `unavailable` when the loop ends first: it would never answer.
    """
    # A coroutine around it: asyncio takes nothing else from another thread, and a call may be any awaitable.
    future = asyncio.run_coroutine_threadsafe(awaited(work), loop)
    while not concurrent.futures.wait({future}, timeout=LOOK).done:
        if not loop.is_running():
            raise CallError(Code.UNAVAILABLE, "the process stops: its event loop answers no more")
    return future.result()
