"""The bus over a broker: one copy of each event leaves for it, and each subscribing service takes in its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from meristem.backoff import FULL, wait_after
from meristem.errors import MeristemError, OperationError, WiringError
from meristem.events.bus import BROKER, Receive, SubscriberAway
from meristem.events.envelope import Envelope
from meristem.events.outage import describe
from meristem.events.policy import DeliveryPolicy
from meristem.events.subscribers import Subscribers
from meristem.lifecycle import Background
from meristem.storage.fence import LeaseLostError

if TYPE_CHECKING:
    from meristem.events.bus_positions import BusPositions, Replay
    from meristem.events.incoming_events import Incoming

logger: Final = logging.getLogger("meristem.events")

_PATIENCE: Final = 5.0  # seconds for which a start waits for the broker
_BASE: Final = 0.1  # seconds between two attempts to reach it, at first
_CAP: Final = 5.0
_LOOK: Final = 0.5  # seconds until a replica looks whether the one that takes in has died


class Queue(msgspec.Struct, frozen=True):
    """What a broker keeps for one service of a system: the events of some types, however many replicas take them in.

    A service to which one of the `first` types is new begins with the first event of it that the broker keeps.
    """

    system: str
    service: str
    types: frozenset[str]
    first: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Names it among all that share the broker."""
        return f"{self.system}.{self.service}"


class Broker(Protocol):
    """One broker as the bus needs it; an adapter of a broker is this and no more."""

    name: str
    """Names it to people, and its destination in the outbox: `nats`."""
    rewinds_at_rest: bool
    """Whether a service must not run while it is rewound: what it read last would count instead."""

    async def connect(self, queues: Sequence[Queue], changed: Callable[[bool], None]) -> None:
        """Connect, and make what is missing of the queues, so that from now on nothing is lost for them.

        `changed(True)` is to be called when a lost connection has come back by itself, `changed(False)` when one is
        lost for good: then `close` and `connect` follow. Raises ConfigurationError where no further attempt can help,
        any other exception where one may.
        """
        ...

    async def send(self, envelope: Envelope) -> None:
        """Return when the broker has the event durably.

        Raises Undeliverable for one that it will never take, any other exception for whatever else went wrong.
        """
        ...

    async def take(self, queue: Queue, incoming: Incoming) -> None:
        """Have what comes for a queue stored among its incoming, in order, until it is cancelled; raises what fails.

        The broker forgets an event only when it is stored. What is kept of before a type was heard comes first, where
        it is to (`Beginnings`).
        """
        ...

    async def lag(self, queue: Queue, positions: BusPositions) -> int:
        """How many events of the queue have not been stored yet."""
        ...

    async def rewind(self, queue: Queue, positions: BusPositions, past: Replay) -> str:
        """Have events of a queue taken in again; returns from where, as people read it.

        Raises OperationError where nothing of it is kept, ConfigurationError where this broker can't do that.
        """
        ...

    async def close(self) -> None:
        """Disconnect; safe after a failed `connect`, and twice."""
        ...


class BrokerBus:
    """Publishes to a broker with the relay, and takes in from it for the services that live here."""

    def __init__(self, broker: Broker, *, system: str) -> None:
        self.resumed: list[Callable[[str], None]] = []
        self._broker = broker
        self._system = system
        self._destination: Final = f"{BROKER}{broker.name}"
        self._subscribers = Subscribers()
        self._incoming: dict[str, Incoming] = {}
        self._queues: dict[str, Queue] = {}
        self._connected = asyncio.Event()
        self._background = Background(f"bus of {system}")

    def subscribe(
        self, service: str, policies: Mapping[str, DeliveryPolicy], receive: Receive, incoming: Incoming | None = None
    ) -> None:
        if incoming is None:
            raise WiringError(f"{service!r} keeps nothing: what {self._broker.name} brings must be stored")
        self._incoming[service] = incoming
        self.forward(service, policies, receive)

    def forward(self, service: str, policies: Mapping[str, DeliveryPolicy], send: Receive) -> None:
        # Also of a service elsewhere: what was committed before the system had a broker is owed to the service itself.
        self._subscribers.add(service, policies, send)
        first = frozenset(name for name, policy in policies.items() if policy.begin == "first")
        self._queues[service] = Queue(self._system, service, frozenset(policies), first)

    def destinations(self, event_type: str) -> Sequence[str]:  # noqa: ARG002 - others may hear it than this system knows
        return (self._destination,)

    def policy(self, destination: str, event_type: str) -> DeliveryPolicy:
        return self._subscribers.policy(destination, event_type)

    async def lag(self) -> Mapping[str, int]:
        if not self._connected.is_set():
            raise SubscriberAway(f"{self._broker.name} can't be reached")
        try:
            queues = {name: (self._queues[name], incoming) for name, incoming in self._incoming.items()}
            return {name: await self._broker.lag(*each) for name, each in queues.items()}
        except MeristemError:
            raise
        except Exception as error:  # whatever a client raises where nobody answers
            raise SubscriberAway(f"{self._broker.name} does not tell: {describe(error)}") from error

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[Broker]:
        """The broker for who only looks: connected once, and nothing is taken in.

        Raises OperationError where it can't be reached.
        """
        try:
            await self._broker.connect(list(self._queues.values()), lambda _: None)
            yield self._broker
        except MeristemError:
            raise
        except Exception as error:  # whatever a client raises where nobody answers
            raise OperationError(f"{self._broker.name} can't be asked: {describe(error)}") from error
        finally:
            await self._broker.close()

    async def lag_of(self, service: str, positions: BusPositions) -> int:
        """How many events a service has not taken in yet, also where it lives in another process."""
        async with self.asked() as broker:
            return await broker.lag(self._queues[service], positions)

    async def rewind(self, service: str, positions: BusPositions, past: Replay) -> str:
        """Have a service take in again what the broker keeps for it; as `Broker.rewind`."""
        async with self.asked() as broker:
            return await broker.rewind(self._queues[service], positions, past)

    @property
    def rewinds_at_rest(self) -> bool:
        """Whether a service must not run while it is rewound."""
        return self._broker.rewinds_at_rest

    async def publish(self, envelope: Envelope, destination: str, *, is_new: bool = False) -> None:
        if destination.startswith(BROKER):  # also what was committed when the system had another broker
            await self._send(envelope)
        else:
            await self._subscribers.hand(envelope, destination, is_new=is_new)

    async def _send(self, envelope: Envelope) -> None:
        if not self._connected.is_set():
            raise SubscriberAway(f"{self._broker.name} can't be reached")
        try:
            await self._broker.send(envelope)
        except MeristemError:
            raise
        except Exception as error:  # whatever a client raises: the event is not confirmed, and that is no fault of it
            raise SubscriberAway(f"{self._broker.name} did not confirm it: {describe(error)}") from error

    async def start(self) -> None:
        """Connect and take in; a broker that isn't there is waited for in the background, as the outbox keeps all."""
        connecting = self._background.spawn(self._connect(), "connect")
        await asyncio.wait([connecting], timeout=_PATIENCE)
        if connecting.done():
            connecting.result()
        for service, incoming in self._incoming.items():
            self._background.spawn(self._take(self._queues[service], incoming), f"take in for {service}")

    async def drain(self) -> None:
        """The relays finish what is in flight; what has not been taken in stays with the broker."""

    async def stop(self) -> None:
        """End taking in, and disconnect."""
        await self._background.stop()
        self._connected.clear()
        await self._broker.close()

    async def _connect(self) -> None:
        """Return when the broker was reached."""
        failures = 0
        while True:
            try:
                await self._broker.connect(list(self._queues.values()), self._changed)
            except MeristemError:
                raise
            except Exception as error:  # whatever a client raises where nobody answers
                failures += 1
                if failures == 1:
                    logger.warning("%s can't be reached: %s; trying again", self._broker.name, describe(error))
                await self._broker.close()
                # A client's own wait_for loses a cancellation that comes with its answer (Python 3.11).
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError from error
                await asyncio.sleep(wait_after(failures, _BASE, _CAP, FULL))
            else:
                self._connected.set()
                self._tell()
                return

    def _changed(self, is_there: bool) -> None:
        if is_there:
            self._tell()
        elif self._connected.is_set():
            self._connected.clear()
            self._background.spawn(self._reconnect(), "reconnect")

    async def _reconnect(self) -> None:
        logger.warning("the connection to %s is lost; connecting again", self._broker.name)
        await self._broker.close()
        await self._connect()
        logger.info("%s is there again", self._broker.name)

    def _tell(self) -> None:
        for tell in self.resumed:
            tell(self._destination)

    async def _take(self, queue: Queue, incoming: Incoming) -> None:
        failures = 0

        async def take() -> None:
            nonlocal failures
            began = monotonic()
            try:
                await self._broker.take(queue, incoming)
            except LeaseLostError:
                raise
            except Exception as error:  # of the broker, the network, the database: it begins again where it was
                failures = 1 if monotonic() - began > _CAP else failures + 1
                logger.warning(
                    "%s: nothing is taken in from %s: %s; trying again",
                    queue.service, self._broker.name, describe(error),
                )  # fmt: skip

        while True:
            await self._connected.wait()
            await incoming.alone(f"{self._broker.name} {queue.name}", take)
            await asyncio.sleep(wait_after(failures, _BASE, _CAP, FULL) if failures else _LOOK)
