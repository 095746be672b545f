"""Where operators read: a Unix socket of the system, and TCP where that is wanted."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.errors import ConfigurationError
from meristem.operators.actors import Actor
from meristem.operators.application import OperatorApp
from meristem.operators.browser_address import browser_address
from meristem.operators.guarded_routes import GuardedRoutes
from meristem.operators.host_guard import HostGuard, is_loopback
from meristem.resilience.limits import Limits
from meristem.transports.http.address import Address
from meristem.transports.http.server.http_server import Beside, HttpServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from meristem.asgi import ASGIApp
    from meristem.operators.health import Overview
    from meristem.operators.observatory import Observatory
    from meristem.operators.sign_in import OperatorSignIn

HOST: Final = "127.0.0.1"
PORT: Final = 8001
SOCKET: Final = "operator.sock"  # in the folder of the system's sockets
UNWANTED: Final = "; there is no dashboard here: [operator] dashboard = false is in the placement"
FAR: Final = (
    "; the dashboard is not shown at an address that others may reach: ask at one of loopback "
    "(tcp://127.0.0.1:9001, by ssh -L or kubectl port-forward), or name the hosts in [operator.public] of the placement"
)
LIMITS: Final = Limits(body_bytes=64 * 1024, connections=256)


class OperatorAddresses(NamedTuple):
    """Where to listen: at `demanded` addresses without fail, and where `preferred` at 127.0.0.1:8001, if that goes.

    It does not go either where 8001 is one of the `others`, which the system needs for something else.
    """

    demanded: tuple[str, ...] = ()
    preferred: bool = False
    others: frozenset[int] = frozenset()

    @classmethod
    def of(cls, listen: Sequence[str] | None, host: str, others: Iterable[int] = ()) -> OperatorAddresses:
        """What a placement says, or else what becomes a system that serves the public at `host`."""
        if listen is not None:
            return cls(tuple(listen))
        # 0 is a port that is yet to be chosen, and nobody's.
        return cls(preferred=is_loopback(host), others=frozenset(filter(None, others)))

    def and_socket(self, run: Path) -> OperatorAddresses:
        """The same, and the socket in the system's own folder, where there are such sockets."""
        if not hasattr(socket, "AF_UNIX"):  # Windows
            return self
        return self._replace(demanded=(f"unix:{run / SOCKET}", *self.demanded))


class PublicDashboard(NamedTuple):
    """The names by which others than this machine ask for the dashboard, over TLS: a proxy's, or our own by `tls`."""

    hosts: tuple[str, ...]
    tls: ssl.SSLContext | None = None


class Dashboard(NamedTuple):
    """What operators see beside health and figures: the contract and pages, for who signed in.

    Without `public` it is there for this machine alone.
    """

    observatory: Observatory
    sign_in: OperatorSignIn
    pages: ASGIApp
    public: PublicDashboard | None = None


class OperatorServer:
    """A component that serves an overview at the operators' addresses, apart from what it tells of.

    It has connections of its own: operators get in when the public has used up theirs.
    """

    def __init__(
        self,
        overview: Overview,
        wanted: OperatorAddresses,
        dashboard: Dashboard | None = None,
    ) -> None:
        self.remark = ""
        self._wanted = wanted
        self._dashboard = dashboard
        self._tls: ssl.SSLContext | None = None
        figures = OperatorApp(overview, absent=UNWANTED if dashboard is None else FAR)
        # Addresses that others may reach have neither the contract nor pages: what is said there can be overheard.
        self._far = HttpServer({}, figures, limits=LIMITS)
        if dashboard is None:
            self._near = HttpServer({}, figures, guards=[HostGuard()], internal=Beside([], figures), limits=LIMITS)
            return
        observatory, sign_in, pages, public = dashboard
        signed_in = OperatorApp(overview, sign_in.around(pages), sign_in.around(sign_in.while_known(observatory.live)))
        trusted = OperatorApp(overview, pages, observatory.live)
        routes, log = observatory.routes, observatory.action_log
        by_token = GuardedRoutes(routes, LIMITS, lambda request: sign_in.actor(request.fields), log)
        by_socket = GuardedRoutes(routes, LIMITS, lambda _: Actor("operator", "socket"), log)
        self._near = HttpServer(
            {},
            signed_in,
            guards=[HostGuard(() if public is None else public.hosts), by_token],
            internal=Beside([by_socket], trusted, LIMITS),
            limits=LIMITS,
        )
        if public is not None:
            self._tls = public.tls
            guard = HostGuard(public.hosts, local=False, secure=public.tls is not None)
            self._far = HttpServer({}, signed_in, guards=[guard, by_token], limits=LIMITS)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens: `http://127.0.0.1:8001`, `unix:/…/operator.sock`."""
        far = "http://" if self._tls is None else "https://"
        return (
            *(each.replace("tcp://", "http://") for each in self._near.addresses),
            *(each.replace("tcp://", far) for each in self._far.addresses),
        )

    @property
    def address(self) -> str | None:
        """The one to show to people: of TCP, where there is one."""
        addresses = self.addresses
        return next((each for each in addresses if each.startswith("http")), next(iter(addresses), None))

    @property
    def link(self) -> str | None:
        """The address by which a browser signs in to the dashboard; None where no browser reaches it."""
        if self._dashboard is None:
            return None
        public = self._dashboard.public
        address = browser_address(self.addresses, () if public is None else public.hosts)
        return None if address is None else self._dashboard.sign_in.link(address)

    async def start(self) -> None:
        """Listen; raises ConfigurationError when a demanded address cannot be had."""
        if self._dashboard is not None:
            await self._dashboard.observatory.start()
        for address in self._wanted.demanded:
            await self._listen(address)
        if self._wanted.preferred:
            await self._listen_where_possible()

    async def drain(self) -> None:
        """Operators may read to the end."""

    async def stop(self) -> None:
        if self._dashboard is not None:
            await self._dashboard.observatory.stop()
        await self._near.stop()
        await self._far.stop()

    async def _listen(self, address: str) -> None:
        parsed = Address.parse(address)
        if parsed.path:  # a Unix socket, which only this user can open and no page of a browser reaches
            await self._near.start(address)
        elif is_loopback(parsed.host):
            await self._near.start(address, public=True)
        else:
            await self._far.start(address, public=True, tls=self._tls)

    async def _listen_where_possible(self) -> None:
        """At 8001, else at a free port: another system that runs here must not keep this one from running."""
        if await self._could_listen(PORT):
            return
        self.remark = f"port {PORT} is taken"
        # Not the next port: a third system's reader would take this one for it.
        if not await self._could_listen(0):
            self.remark += ", and so is every other one"

    async def _could_listen(self, port: int) -> bool:
        if port in self._wanted.others:
            return False
        try:
            await self._listen(f"tcp://{HOST}:{port}")
        except ConfigurationError:
            return False
        return True
