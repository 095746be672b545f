"""The port to read replicas: copies of a database that its server's replication keeps, for reads that may be stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from meristem.context import CURRENT
from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from meristem.log_positions import Position
    from meristem.storage.driver import Driver, Outcome, Statement
    from meristem.storage.facts import OnReplicaFact


class ReplicaAnswer(NamedTuple):
    """What a replica answered, and which one."""

    outcome: Outcome
    server: str


class ReadReplicas(Protocol):
    """The replicas of one database. Whatever is wrong with them is no error: then the primary is asked."""

    @property
    def observers(self) -> list[OnReplicaFact]: ...

    def states(self) -> Mapping[str, str | None]:
        """What is wrong with each, by its server; None for one that is sound."""
        ...

    async def start(self) -> None:
        """Begin to look at them; raises nothing where one is away."""
        ...

    async def stop(self) -> None:
        """Close all connections to them."""
        ...

    async def read(self, step: Statement, max_staleness: float, behind: Position | None) -> ReplicaAnswer | None:
        """Run a reading statement where all that was committed `max_staleness` seconds ago is seen.

        And all up to the position `behind`; None is one that is not known. None is answered where the primary must be
        asked.
        """
        ...

    async def position(self) -> Position:
        """A position of the primary up to which all is committed that was so when this was called."""
        ...


class Replicable(Protocol):
    """A driver whose server can be replicated."""

    def replicas(self, urls: Sequence[str]) -> ReadReplicas:
        """The replicas at these URLs, not started; raises ConfigurationError for a URL that can't be meant."""
        ...


def replicas_of(driver: Driver, urls: Sequence[str], name: str) -> ReadReplicas | None:
    """The replicas of a driver's database, None without any; raises ConfigurationError where it can have none."""
    if not urls:
        return None
    opened = getattr(driver, "replicas", None)
    if opened is None:
        raise ConfigurationError(
            f"database {name!r}: {driver.system} has no read replicas; drop them from [resources], or keep the data in "
            "PostgreSQL"
        )
    found: ReadReplicas = opened(urls)
    return found


class Tolerance(NamedTuple):
    """How old what is read may be, and what it must hold all the same."""

    max_staleness: float
    behind: Position | None


def tolerance(service: str) -> Tolerance | None:
    """What the code that runs now tolerates of its own service's database; None where the primary must be asked.

    Only a method that says so, called for somebody: what works by itself has no positions.
    """
    context = CURRENT.get()
    place = context.place
    if place is None or place.max_staleness is None or place.service != service or context.positions is None:
        return None
    return Tolerance(place.max_staleness, context.positions.behind(service))


def wrote(service: str) -> None:
    """Note with what surrounds the running task that something of the service's was committed."""
    positions = CURRENT.get().positions
    if positions is not None:
        positions.wrote(service)
