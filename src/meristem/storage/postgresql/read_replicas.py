"""The hot standbys of a database, for reads that may be stale: which of them is fit, and the primary where none is."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from meristem.storage.facts import (
    OnReplicaFact,
    PrimaryRead,
    Reason,
    ReplicaAway,
    ReplicaBack,
    ReplicaFact,
    ReplicaRead,
)
from meristem.storage.postgresql.primary_log import PrimaryLog
from meristem.storage.postgresql.standby import WRITES, Standby, UnansweredError
from meristem.storage.replication import ReplicaAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from meristem.log_positions import Position
    from meristem.storage.driver import Outcome, Statement
    from meristem.storage.postgresql.address import DatabaseAddress

_REFUSED: Final = 1000  # statements that are remembered as such


class PostgresqlReplicas:
    """Sends reads to the least busy standby that is young enough. `read` runs a statement at the primary."""

    def __init__(
        self,
        addresses: Sequence[DatabaseAddress],
        name: str,
        read: Callable[[Statement], Coroutine[Any, Any, Outcome]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.observers: list[OnReplicaFact] = []
        self._name = name
        self._log = PrimaryLog(read, clock)
        self._standbys = [Standby(each, name, lambda: self._log.identity, self._changed) for each in addresses]
        self._turn = 0
        self._refused: dict[str, None] = {}

    def states(self) -> Mapping[str, str | None]:
        """What is wrong with each, by its server."""
        return {each.server: each.problem for each in self._standbys}

    async def start(self) -> None:
        """Look at each, in the background: a replica that is away keeps nothing from starting."""
        for each in self._standbys:
            each.start()

    async def stop(self) -> None:
        """Close all connections."""
        await self._log.stop()
        for each in self._standbys:
            await each.stop()

    async def position(self) -> Position:
        """A position that covers all that is committed by now; raises StorageError."""
        return await self._log.position()

    async def read(self, step: Statement, max_staleness: float, behind: Position | None) -> ReplicaAnswer | None:
        """Run a statement at a standby; None where the primary must be asked."""
        found = await self._tried(step, self._log.needed(max_staleness), behind)
        if isinstance(found, Reason):
            self._emit(PrimaryRead(self._name, found))
            return None
        self._emit(ReplicaRead(self._name, found.server))
        return found

    async def _tried(self, step: Statement, young: Position | None, behind: Position | None) -> ReplicaAnswer | Reason:
        if step.text in self._refused or WRITES.search(step.text) is not None:
            return Reason.REFUSED
        if behind is None:
            return Reason.WRITTEN
        if young is None:
            return Reason.COLD
        needed, reason = young.joined(behind), Reason.AWAY
        lagging = Reason.STALE if young.covers(behind) else Reason.WRITTEN
        for standby in self._in_turn():
            try:
                return ReplicaAnswer(await standby.read(step, needed, lagging), standby.server)
            except UnansweredError as error:
                reason = error.reason
                if error.lasts:
                    self._remember(step.text)
                if reason is Reason.REFUSED:
                    break
        return reason

    def _in_turn(self) -> list[Standby]:
        """Those that are sound, the least busy first; of equally busy ones each in its turn."""
        self._turn += 1
        count = len(self._standbys)
        sound = [
            standby
            for number in range(count)
            if (standby := self._standbys[(self._turn + number) % count]).problem is None
        ]
        return sorted(sound, key=lambda each: each.in_flight)

    def _remember(self, text: str) -> None:
        if len(self._refused) >= _REFUSED:
            self._refused.clear()
        self._refused[text] = None

    def _changed(self, standby: Standby) -> None:
        if standby.problem is None:
            self._emit(ReplicaBack(self._name, standby.server))
        else:
            self._emit(ReplicaAway(self._name, standby.server, standby.problem))

    def _emit(self, fact: ReplicaFact) -> None:
        for observer in self.observers:
            observer(fact)
