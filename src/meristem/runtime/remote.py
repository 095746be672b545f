"""Clients for programs outside of a system: `async with connect(address) as hotels: await hotels.client(Search).…`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from meristem.contracts.call import compose
from meristem.contracts.contract import operations
from meristem.errors import CallError, Code, ConfigurationError, Fault, MisuseError
from meristem.resilience.deadline import deadline_middleware
from meristem.resilience.retry import RetryBudget, retry_middleware
from meristem.resilience.timers import Deadlines
from meristem.security.tokens import Tokens
from meristem.services.client import make_client
from meristem.services.following import heeding
from meristem.services.outbound import entry
from meristem.system.state_directory import HOME, SECRET, StateDirectory
from meristem.transports.adapters import client_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from meristem.context import Context
    from meristem.contracts.call import Call, Handler

ContractT = TypeVar("ContractT")


class RemoteSystem:
    """A system that runs elsewhere, reached at one address; it works inside of `async with`.

    `sign` proves to it who calls, for each call; without it only operations that the system publishes (those with
    `http=`) answer. `headers` go out with each call.
    """

    def __init__(
        self,
        address: str,
        *,
        sign: Callable[[Context], str] | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self._client = client_for(address, sign=sign, headers=headers, tls=tls)
        self._budget = RetryBudget(address)
        self._clients: dict[Any, Any] = {}
        self._deadlines: Deadlines | None = None
        self._is_left = False

    async def __aenter__(self) -> Self:
        if self._deadlines is not None:
            raise MisuseError(f"this connection to {self.address} was opened before; call connect() for each block")
        self._deadlines = Deadlines(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_left = True
        await self._client.stop()
        if self._deadlines is not None:
            self._deadlines.stop()

    def client(self, contract: Callable[..., ContractT]) -> ContractT:
        """A client of `contract`; raises MisuseError before the block is entered."""
        if self._deadlines is None:
            raise MisuseError(f"open the connection first: async with connect({self.address!r}) as system:")
        found = self._clients.get(contract)
        if found is None:
            entries: dict[str, Any] = {}
            for name, operation in operations(contract).items():
                watched = deadline_middleware(self._deadlines, operation, prompt=True)
                # As inside of a system: one deadline around all attempts, which share the key of the call.
                around = [self._opened, heeding(operation), watched, retry_middleware(operation, self._budget)]
                handler = compose(self._attempt, around)
                entries[name] = entry(operation, handler, None, None, follows=True)
            found = self._clients[contract] = make_client(contract, entries)
        made: ContractT = found
        return made

    def _opened(self, handler: Handler) -> Handler:
        async def checked(call: Call) -> Any:
            if self._is_left:
                raise MisuseError(f"{call.operation.label}: {self._left()}: call inside of it")
            try:
                return await handler(call)
            except (CallError, Fault) as error:
                # It came by a wire: what lies between the program's line and that is no place to look for a mistake.
                raise error.with_traceback(None)  # noqa: B904 - it is the same error, and has its cause

        return checked

    async def _attempt(self, call: Call) -> Any:
        if self._is_left:  # after the first attempt: a connection that was opened now would never be closed
            raise CallError(Code.CANCELED, f"{call.operation.label}: {self._left()}")
        return await self._client.call(call)

    def _left(self) -> str:
        return f"the block of the connection to {self.address} was left"


def connect(
    address: str | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    token: str | None = None,
    service: str | None = None,
    secret: str | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> RemoteSystem:
    """Reach a running system: `async with connect("http://127.0.0.1:8000") as hotels:`, then `hotels.client(Search)`.

    In place of an address, `folder` is that of a project whose system runs on this host. `token` is the bearer token
    of a user who has signed in. `service` is the name under which a program calls that the system trusts as it
    trusts its own services: it signs with `secret`, or else with `$MERISTEM_SECRET`, or with what the folder keeps.
    An address of `https://` is called by TLS, its certificate verified as the machine does; `tls` is a context that
    trusts others, as `ssl.create_default_context(cafile="ca.pem")`, or proves who the client is (`load_cert_chain`).
    Raises ConfigurationError for what can't be meant, and where no system runs from the folder.
    """
    state = None if folder is None else _state(Path(folder))
    if address is None:
        address = _address(state)
    sign = None
    if service is not None:
        if token is not None:
            raise ConfigurationError("token= and service= each say who calls: give one")
        tokens = _tokens(secret, state)
        sign = _signing(tokens, service)
    elif secret is not None:
        raise ConfigurationError('secret= signs the calls of a service: name it, as in service="reports"')
    fields = dict(headers or {})
    if token is not None:
        fields["authorization"] = f"Bearer {token}"
    return RemoteSystem(address, sign=sign, headers=fields, tls=tls)


def _signing(tokens: Tokens, service: str) -> Callable[[Context], str]:
    def sign(context: Context) -> str:
        return tokens.sign(service, context.user)

    return sign


def _state(folder: Path) -> StateDirectory:
    """What the one system keeps that runs from a project's folder."""
    kept = [StateDirectory.at(path) for path in sorted((folder.absolute() / HOME).glob("*")) if path.is_dir()]
    running = [each for each in kept if each.running() is not None]
    if len(running) == 1:
        return running[0]
    names = ", ".join(each.path.name for each in running)
    several = f"several systems run from {folder} ({names}): give the address of one"
    raise ConfigurationError(several if running else f"no system runs from {folder}: start it there, `meristem run`")


def _address(state: StateDirectory | None) -> str:
    running = None if state is None else state.running()
    if running is None:
        raise ConfigurationError('say where the system runs: connect("http://127.0.0.1:8000"), or folder="…"')
    return running.address


def _tokens(secret: str | None, state: StateDirectory | None) -> Tokens:
    given = os.environ.get(SECRET) if secret is None else secret
    if given is not None:
        return Tokens(given.encode())
    found = None if state is None else state.known_tokens({})
    if found is None:
        raise ConfigurationError(
            f"a service proves itself by the system's secret: give secret= or {SECRET}, or folder="
        )
    return found
