"""One process of a system, serving: its assembly, the apps it hosts, and the server in front of both."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.call import CONNECTOR
from meristem.errors import ConfigurationError
from meristem.gateway.arrivals import Arrivals
from meristem.gateway.fast_mounts import FastMounts
from meristem.hosting.asgi.access_log import AccessLog
from meristem.hosting.asgi.forwarded import Forwarded
from meristem.hosting.asgi.mounts import Mounts
from meristem.lifecycle import DRAINING, Stack, end, first_of, where
from meristem.runtime.assembly import Assembly
from meristem.runtime.database_watch import DatabaseWatch
from meristem.runtime.forwardings import forwardings
from meristem.runtime.grpc_serving import GrpcServing, grpc_server
from meristem.runtime.hosted_apps import start_apps
from meristem.runtime.loop_watch import LoopWatch
from meristem.runtime.probes import InternalProbes, PublicProbe
from meristem.runtime.public_gateway import PublicGateway
from meristem.security.forwarding import TrustedProxies
from meristem.stop_signals import StopSignals
from meristem.system.addresses import edge
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import Beside, HttpServer
from meristem.webhooks.acceptance import Acceptance
from meristem.webhooks.event_intake import EventIntake

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from meristem.contracts.call import ServedOperation
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.hosting.asgi.protocol import ASGIApp
    from meristem.lifecycle import Component
    from meristem.runtime.listen import Listen
    from meristem.runtime.options import Options
    from meristem.security.tokens import Tokens
    from meristem.system.blueprint import Blueprint
    from meristem.transports.http.fast_path import FastPath

logger = logging.getLogger(__name__)
COLLECTING: Final = (10_000, 20, 20)  # allocations and rounds between collections: a request frees most by itself


class Process:
    """Serves one process of a plan between `start` and `stop`.

    What runs `before` it starts first and ends last, what runs `beside` it starts last and ends first. What is `needed`
    by the public starts when the services answer, and before the public may come.
    `state` is `starting`, `ready`, `unready` (while `problem` tells what is wrong), `draining` or `stopped`, `since`
    when it was made. `api_page` shows the description of the REST interface to the public.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        name: str,
        *,
        options: Options,
        listen: Sequence[Listen],
        tokens: Tokens,
        before: Sequence[Component] = (),
        needed: Sequence[Component] = (),
        beside: Sequence[Component] = (),
        api_page: bool = False,
    ) -> None:
        self.assembly = Assembly(blueprint, name, options)
        self._blueprint = blueprint
        self._listen = listen
        self._tokens = tokens
        self._before = before
        self._needed = needed
        self._beside = beside
        self._api_page = api_page
        self._phase = "starting"
        self._databases = DatabaseWatch(self.assembly.databases)
        self.since = time.time()
        self._stack = Stack()
        table = blueprint.placement.gateway if any(each.public for each in listen) else None
        self._gateway = None if table is None else PublicGateway(blueprint, table, options)
        self._server: HttpServer | None = None
        self._grpc: GrpcServing | None = None

    @property
    def state(self) -> str:
        """How it fares."""
        return "unready" if self._phase == "ready" and self.problem is not None else self._phase

    @property
    def problem(self) -> str | None:
        """What keeps it from being ready although it has started."""
        return self._databases.problem

    @property
    def addresses(self) -> list[str]:
        """Where the process listens, with the ports it was given."""
        grpc = [] if self._grpc is None else self._grpc.addresses
        return grpc if self._server is None else [*self._server.addresses, *grpc]

    async def start(self) -> None:
        """Start the services, then the apps, accept connections, then let go on what was left undone.

        In this order, because an interrupted saga or an event may at once need an app of this very process.
        """
        # Never reset: what begins from here on, connections and apps included, belongs to this process.
        CONNECTOR.set(self.assembly)
        for component in self._before:
            await self._stack.start(component)
        assembly = self.assembly
        late = self._blueprint.placement.supervision.late
        watch = LoopWatch(
            assembly.telemetry.registry,
            late=late,
            beat=assembly.options.beat,
            is_starting=lambda: self._phase == "starting",
            lag=assembly.loop_lag,
        )
        await self._stack.start(watch)
        await self._stack.start(assembly)
        internal = InternalProbes(
            lambda: self.state, self.assembly.figures, self.assembly.telemetry.tap.look, lambda: self.assembly.problems
        )
        routes, hosted = self._routes(), await start_apps(self.assembly, self._stack, described=self._api_page)
        policy = None if self._gateway is None else await self._gateway.open(self._stack)
        app, fast = await self._public(hosted)
        assembly.desks.gateway.policy = policy
        assembly.desks.gateway.certificate = None if self._gateway is None else self._gateway.certificate
        self._server = HttpServer(
            routes,
            app,
            interfaces=[PublicProbe(lambda: self.state), *self._intake(), self._rest(routes)],
            # Twice: as an interface it answers about health at once; figures, which have to wait, are of the app.
            internal=Beside([internal], self._internal(hosted, internal), self.assembly.limits.inside()),
            limits=self.assembly.limits,
            verify=self._tokens.verify,
            # it may ask services: connections inherit what CONNECTOR is here
            authenticate=self._blueprint.system.authenticate,
            on_answer=self.assembly.telemetry.on_answer if self._blueprint.placement.telemetry.access_log else None,
            policy=policy,
            fast=fast,
        )
        listen = [each for each in self._listen if not each.is_grpc]
        await self._stack.start(Serving(self._server, [each for each in listen if not each.public]))
        for component in self._needed:
            await self._stack.start(component)
        public = [each for each in listen if each.public]
        tls = None if self._gateway is None else await self._gateway.tls(self._stack)
        if self._gateway is not None:
            public += self._gateway.without_tls(self.assembly.process.name)
        await self._stack.start(Serving(self._server, public, tls))
        if self._gateway is not None:
            await self._gateway.renew_certificate(self._stack)
        await self._start_grpc(routes)
        await self.assembly.activate()
        await self._stack.start(self._databases)
        self._phase = "ready"
        for component in self._beside:
            await self._stack.start(component)

    async def drain(self) -> None:
        """Accept no more, answer what is in flight, then let the services finish."""
        # Said first: whoever asks whether this process is ready sends nothing more while the rest goes on.
        self._phase = "draining"
        await self._stack.drain()

    async def stop(self) -> None:
        """Stop everything, in reverse."""
        self._phase = "stopped"
        await self._stack.stop()

    async def _start_grpc(self, routes: Mapping[str, ServedOperation]) -> None:
        listen = [each for each in self._listen if each.is_grpc]
        if listen:
            server = grpc_server(self.assembly, routes, self._tokens, lambda: self.state)
            self._grpc = GrpcServing(server, listen, described=self._api_page)
            await self._stack.start(self._grpc)

    async def _public(self, hosted: Mapping[str, ASGIApp]) -> tuple[ASGIApp | None, FastPath | None]:
        """The apps, for all that neither RPC nor REST knows, and the short way to those that live elsewhere.

        Of those the edge alone knows.
        """
        mounts = {each.mount: hosted[each.name] for each in self._blueprint.system.apps if each.name in hosted}
        fast: dict[str, FastPath | None] = dict.fromkeys(mounts)
        if edge(self._blueprint.plan).name == self.assembly.process.name:
            for mount, each in forwardings(self.assembly).items():
                await self._stack.start(each.upstream)
                mounts[mount], fast[mount] = each.app, each.fast
        if not mounts:
            return None, None
        proxies = TrustedProxies(self.assembly.limits.trusted_proxies)
        public = Forwarded(Mounts(mounts), proxies)
        app = AccessLog(public, proxies) if self._blueprint.placement.telemetry.access_log else public
        return app, FastMounts(fast, proxies) if any(fast.values()) else None

    def _internal(self, hosted: Mapping[str, ASGIApp], probes: InternalProbes) -> ASGIApp:
        """What the system's own addresses serve beside RPC: the apps to the edge, and figures."""
        apps = [each for each in self._blueprint.system.apps if each.name in hosted]
        return Arrivals(
            {each.name: Mounts({each.mount: hosted[each.name]}) for each in apps}, probes, self._tokens.verify
        )

    def _intake(self) -> list[EventIntake]:
        """What takes events in from outside, where some are accepted and the public comes."""
        blueprint, limits = self._blueprint, self.assembly.limits
        if not blueprint.plan.accepts_events or not any(each.public for each in self._listen):
            return []
        acceptance = Acceptance(blueprint.system.name, blueprint.accepted_events(), sendable=self.assembly.sendable)
        return [EventIntake(acceptance, self.assembly.event_intake(), limits)]

    def renew_gateway(self, table: GatewayTable | None) -> None:
        """Put another table of the gateway in force; raises ConfigurationError for one that can't be."""
        if self._gateway is None:
            raise ConfigurationError("this process has begun without a [gateway]: that takes `meristem reload`")
        self._gateway.renew(table)

    def _rest(self, routes: Mapping[str, ServedOperation]) -> RestInterface:
        system = self._blueprint.system
        published = [each for each in routes.values() if each.operation.http is not None]
        return RestInterface(
            published,
            prefix=system.api,
            name=system.name,
            about=system.about,
            limits=self.assembly.limits,
            described=self._api_page,
        )

    def _routes(self) -> Mapping[str, ServedOperation]:
        """All operations where the public comes; elsewhere those that live here."""
        public = any(each.public for each in self._listen)
        return self.assembly.public_routes() if public else self.assembly.routes()


class Serving:
    """A server as a component that listens on several addresses, by `tls` at those that are not written `http://`."""

    def __init__(self, server: HttpServer, listen: Sequence[Listen], tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._listen = listen
        self._tls = tls

    async def start(self) -> None:
        for each in self._listen:
            tls = None if each.address.startswith("http:") else self._tls
            await self._server.start(each.address, public=each.public, tls=tls, shared=each.shared)

    async def drain(self) -> None:
        await self._server.drain()

    async def stop(self) -> None:
        await self._server.stop()


async def serve(process: Process, started: Callable[[Process], Any], *, grace: float = DRAINING) -> None:
    """Run a process until it is asked to end; what is in flight has `grace` seconds, a second signal ends it at once.

    `started` is called once the process accepts connections. A process that is asked while it starts does not get so
    far. Raises what `start` raises.
    """
    context = copy_context()  # one for its whole life: what the start sets there, the end still needs
    begin = functools.partial(asyncio.get_running_loop().create_task, context=context)
    with StopSignals() as signals:
        starting = begin(process.start(), name="start")
        try:
            await first_of(asyncio.wait({starting}), signals.asked.wait())
            if starting.done():
                await starting
                _settle_down()
                started(process)
                await signals.asked.wait()
                await _within(begin(process.drain(), name="drain"), grace)
            else:
                logger.warning("asked to end while starting, in %s", where(starting))
        finally:
            # Ended before the stop: a start that went on would put components onto a stack that has been emptied.
            starting.cancel()
            await end([starting])
            await begin(process.stop(), name="stop")


def _settle_down() -> None:
    """Spare the garbage collector what was made until now, which stays to the end, and half-done requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTING)


async def _within(draining: asyncio.Task[None], grace: float) -> None:
    await asyncio.wait({draining}, timeout=grace)
    if not draining.done():
        logger.warning("stopping although work is in flight: what is durable is taken up at the next start")
        draining.cancel()
    if not await end([draining]) and not draining.cancelled() and (failure := draining.exception()):
        logger.error("draining failed", exc_info=failure)
