"""What a package of another maker brings: a database, a bus and a wire. A test installs a copy under its own name."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from meristem.events.bus import Bus, Receive
from meristem.events.envelope import Envelope
from meristem.events.incoming_events import Incoming
from meristem.events.policy import DEFAULT, DeliveryPolicy
from meristem.resilience.limits import ClientLimits
from meristem.storage.sqlite.driver import SqliteDriver
from meristem.transports.endpoint import EndpointClient, Sign
from meristem.transports.http.client.http_client import HttpClient

BROKER: dict[str, dict[str, Receive]] = {}
"""The services that subscribed, from any process, by event type."""
LIFE: list[str] = []
CALLS: list[str] = []


def open_driver(url: str, *, name: str, directory: Path) -> SqliteDriver:
    """`acme:data/orders`: a folder with one file."""
    driver = SqliteDriver(directory / url.removeprefix("acme:") / "acme.db", name=name, synchronous="normal")
    driver.system = "acme"
    return driver


class AcmeBus:
    """Carries events between processes by itself: an outbox row is owed to the broker, not to each subscriber."""

    def __init__(self, system: str) -> None:
        self.system = system
        self.subscribed: list[str] = []
        self.resumed: list[Callable[[str], None]] = []

    def subscribe(
        self, service: str, policies: Mapping[str, DeliveryPolicy], receive: Receive, incoming: Incoming | None = None
    ) -> None:
        self.subscribed.append(service)
        for event_type in policies:
            BROKER.setdefault(event_type, {})[service] = receive

    def forward(self, service: str, policies: Mapping[str, DeliveryPolicy], send: Receive) -> None:
        """The service subscribes where it lives."""

    def destinations(self, event_type: str) -> Sequence[str]:
        return ("acme",)

    def policy(self, destination: str, event_type: str) -> DeliveryPolicy:
        return DEFAULT

    async def publish(self, envelope: Envelope, destination: str, *, is_new: bool = False) -> None:
        LIFE.append(f"publish {envelope.type}")
        for receive in BROKER.get(envelope.type, {}).values():
            await receive(envelope)

    async def lag(self) -> Mapping[str, int]:
        return {}

    async def start(self) -> None:
        LIFE.append(f"start {self.system} {self.subscribed}")

    async def drain(self) -> None:
        LIFE.append("drain")

    async def stop(self) -> None:
        LIFE.append("stop")


def open_bus(url: str, *, system: str) -> Bus:
    return AcmeBus(system)


class AcmeClient:
    """Calls over a wire of its own, or what passes for one in a test."""

    def __init__(
        self,
        address: str,
        *,
        sign: Sign | None,
        limits: ClientLimits,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
    ) -> None:
        assert tls is None
        self._http = HttpClient(address.replace("acme:", "unix:"), sign=sign, limits=limits, headers=headers)

    async def call(self, call: Any) -> Any:
        CALLS.append(call.operation.name)
        return await self._http.call(call)

    async def drain(self) -> None:
        await self._http.drain()

    async def stop(self) -> None:
        await self._http.stop()


def open_client(
    address: str, *, sign: Sign | None, limits: ClientLimits, headers: Mapping[str, str], tls: ssl.SSLContext | None
) -> EndpointClient:
    return AcmeClient(address, sign=sign, limits=limits, headers=headers, tls=tls)
