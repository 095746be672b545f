"""Clients for scripts, a REPL and programs of others: `with connect(address): wait(Search.client().find(…))`."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar

from meristem.contracts.call import CONNECTOR, wait_on
from meristem.contracts.contract import operations
from meristem.resilience.deadline import deadline_middleware
from meristem.resilience.timers import Deadlines
from meristem.services.client import make_client
from meristem.services.outbound import entry
from meristem.transports.adapters import client_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextvars import Token

    from meristem.contracts.call import Connector
    from meristem.security.tokens import Tokens

ContractT = TypeVar("ContractT")
Result = TypeVar("Result")


class RemoteSystem:
    """A system that runs elsewhere, reached at one address; it works between `__enter__` and `__exit__`.

    Its calls run on an event loop in a thread of its own, so code that is not async just waits for them. Without
    `tokens` only operations that the system publishes (those with `http=`) answer. `headers` go out with each call.
    """

    def __init__(self, address: str, tokens: Tokens | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._client = client_for(address, sign=None if tokens is None else tokens.prove, headers=headers)
        # A loop of its own in a thread, because it must turn while the caller's code blocks in `wait`.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"calls to {address}", daemon=True)
        self._deadlines = Deadlines(self._loop)
        self._entered: Token[Connector | None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._entered = CONNECTOR.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._entered is not None:
            CONNECTOR.reset(self._entered)
        # While the loop still turns; then its timer of deadlines, by a call from its own thread, and then the loop.
        self.wait(self._client.stop())
        self._loop.call_soon_threadsafe(self._deadlines.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def client(self, contract: Callable[..., ContractT]) -> ContractT:
        """A client whose calls are waited for by `wait`."""
        entries: dict[str, Any] = {}
        for name, operation in operations(contract).items():
            handler = deadline_middleware(self._deadlines, operation, prompt=True)(self._client.call)
            entries[name] = entry(operation, handler, None, None)
        return make_client(contract, entries)

    def wait(self, work: Awaitable[Result]) -> Result:
        """The result of a call."""
        return wait_on(self._loop, work)


def connect(
    address: str = "http://127.0.0.1:8000",
    *,
    tokens: Tokens | None = None,
    headers: Mapping[str, str] | None = None,
) -> RemoteSystem:
    """Reach a running system: inside the block `Payments.client()` gives clients and `wait(…)` their answers.

    Who has signed in says so by `headers={"Authorization": "Bearer …"}`.
    """
    return RemoteSystem(address, tokens, headers)
