"""The way to a service in other processes: its replicas, and what keeps trouble there from spreading here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.contracts.call import Handler, compose
from meristem.contracts.operation import Semantics
from meristem.discovery.resolver import follow
from meristem.resilience.balancer import Balancer
from meristem.resilience.breaker import Breaker
from meristem.resilience.bulkhead import Bulkhead
from meristem.resilience.hedge import Hedging
from meristem.resilience.retry import RetryBudget, retry_middleware
from meristem.transports.adapters import client_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from meristem.contracts.call import Middleware
    from meristem.contracts.operation import Operation
    from meristem.discovery.resolver import Resolver
    from meristem.lifecycle import Background
    from meristem.resilience.limits import ClientLimits
    from meristem.resilience.policies import Policies
    from meristem.runtime.telemetry import ProcessTelemetry
    from meristem.transports.endpoint import EndpointClient, Sign


class RemoteReplica:
    """One replica: a client of its address behind a circuit breaker."""

    def __init__(self, address: str, client: EndpointClient, breaker: Breaker, around: Sequence[Middleware]) -> None:
        self.client = client
        self.address = address
        self.in_flight = 0
        self.breaker = breaker
        self.handler: Handler = breaker.middleware(compose(client.call, around))


class Dependency:
    """A service that lives in other processes.

    A call passes the bulkhead, then the retries within the dependency's budget; each attempt goes to the better of
    two replicas chosen at random, through that replica's circuit breaker. A safe call does not wait for a replica
    that has fallen silent. `headers` go out with each call; `around` is put around what is sent, the first outermost.
    Calls wait for a replica that is yet to start, `away` seconds.
    """

    def __init__(
        self,
        name: str,
        resolver: Resolver,
        policies: Policies,
        *,
        sign: Sign | None,
        limits: ClientLimits,
        telemetry: ProcessTelemetry,
        closing: Background,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        around: Sequence[Middleware] = (),
        away: float = 0.0,
    ) -> None:
        self.name = name
        self._away = away
        self._resolver = resolver
        self._policies = policies
        self._sign = sign
        self._limits = limits
        self._telemetry = telemetry
        self._closing = closing
        self._headers = headers
        self._tls = tls
        self._around = around
        self._replicas: dict[str, RemoteReplica] = {}
        self._balancer = Balancer(name, policy=policies.balancer, on_fact=telemetry.on_fact)
        self._budget = RetryBudget(name, policies.budget)
        self._bulkhead = Bulkhead(name, policies.bulkhead, on_fact=telemetry.on_fact)
        self._end_watch: Callable[[], None] | None = None

    async def start(self) -> None:
        """Follow the addresses of the service from now on."""
        self._end_watch = follow(self._resolver, self.name, self._update)

    async def drain(self) -> None:
        """Calls in flight are waited for by those who made them."""

    async def stop(self) -> None:
        if self._end_watch is not None:
            self._end_watch()
        for peer in self._replicas.values():
            await peer.client.stop()

    @property
    def replicas(self) -> list[RemoteReplica]:
        """Those that are known now."""
        return list(self._replicas.values())

    def probe_soon(self) -> None:
        """It says that it is there: let a call find out, however long its breakers would still refuse one."""
        for replica in self._replicas.values():
            replica.breaker.probe_soon()

    def way(self, operation: Operation, caller: str | None) -> Handler:
        """The handler that takes calls of an operation there."""
        retry = retry_middleware(operation, self._budget, on_fact=self._telemetry.on_fact, away=self._away)
        watched = self._telemetry.calling(caller, operation, self._system())
        # From outside in: a call that waits to be repeated keeps its place in the bulkhead, or new calls would take it;
        # each attempt is a span of its own, since each may go to another replica.
        return compose(self._balanced(operation), [self._bulkhead.middleware, retry, watched])

    def _system(self) -> str:
        """The name of the wire, by the addresses that are known when a client is made."""
        return "grpc" if any(each.startswith("grpc") for each in self._resolver.addresses(self.name)) else "connectrpc"

    def _balanced(self, operation: Operation) -> Handler:
        # A hedge runs beside the first attempt: not even of an idempotent call may two be under way at once.
        if operation.semantics is not Semantics.SAFE or operation.lasts:
            return self._balancer.handler
        on_fact = self._telemetry.on_fact
        hedging = Hedging(operation, self._balancer, self._budget, self._policies.hedge, on_fact=on_fact)
        return self._balancer.through(hedging.take)

    def _update(self, addresses: tuple[str, ...]) -> None:
        for address in addresses:
            if address not in self._replicas:
                breaker = Breaker(f"{self.name} at {address}", self._policies.breaker, on_fact=self._telemetry.on_fact)
                client = client_for(address, sign=self._sign, limits=self._limits, headers=self._headers, tls=self._tls)
                self._replicas[address] = RemoteReplica(address, client, breaker, self._around)
        gone = [self._replicas.pop(address) for address in list(self._replicas) if address not in addresses]
        # Before the ones that are gone are closed: no new call may choose a client that only finishes what it has.
        self._balancer.update(self._replicas.values())
        for peer in gone:
            self._closing.spawn(_close(peer.client), f"leave {peer.address}")


async def _close(client: EndpointClient) -> Any:
    """Let the calls in flight there finish."""
    await client.drain()
    await client.stop()
