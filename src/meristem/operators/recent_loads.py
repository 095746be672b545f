"""What each replica carries, by what it tells once a second, and what of that the history keeps every ten seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.operators.history_loads import LoadRows, ProcessLoadRow, ServiceLoadRow
from meristem.operators.load_views import ProcessLoad
from meristem.operators.recent_series import RecentReplicas

if TYPE_CHECKING:
    from meristem.operators.inspection import ProcessDigest


class ReplicaLoad:
    """One replica: `memory` in bytes, `cpu` of one processor between the last two looks, and all that it carries.

    What is summed up since the history was told outlives a restart: calls that the old life turned away were turned
    away in these seconds, too.
    """

    def __init__(self, process: str, replica: int) -> None:
        self.memory: int | None = None
        self.cpu: float | None = None
        self.told = ProcessLoad(process=process, replica=replica, loop_lag=0.0, services=[])
        self._last: ProcessDigest | None = None
        self._at = 0.0
        self._sum = _Sum()

    def add(self, digest: ProcessDigest, now: float) -> None:
        """Take in a digest, `now` by a steady clock."""
        last, summed = self._last, self._sum
        is_same = last is not None and last.life == digest.life
        seconds = now - self._at
        self.cpu = None
        if last is not None and is_same and seconds > 0:
            used = digest.cpu - last.cpu
            self.cpu = used / seconds
            summed.seconds += seconds
            summed.cpu += used
        # What a replica counted before the first look at it is not of these seconds: it may have run for days.
        before = {each.service: each.shed for each in last.loads} if last is not None and is_same else {}
        for each in digest.loads:
            shed = 0 if last is None else each.shed - before.get(each.service, 0)
            waiting, known = summed.services.get(each.service, (0, 0))
            summed.services[each.service] = max(waiting, each.waiting), known + shed
        summed.loop_lag = max(summed.loop_lag, digest.loop_lag)
        self.memory, self._last, self._at = digest.memory, digest, now
        self.told = ProcessLoad(
            process=self.told.process, replica=self.told.replica, loop_lag=digest.loop_lag, services=digest.loads
        )

    def rows(self, ended: float) -> LoadRows:
        """What the history keeps of the ten seconds that `ended`; another ten begin."""
        summed, self._sum = self._sum, _Sum()
        process, replica = self.told.process, self.told.replica
        cpu = summed.cpu / summed.seconds if summed.seconds else None
        services = tuple(sorted(summed.services))
        return LoadRows(
            ProcessLoadRow(ended, summed.seconds, process, replica, cpu, self.memory, summed.loop_lag, services),
            [
                ServiceLoadRow(ended, process, replica, service, waiting, shed)
                for service, (waiting, shed) in summed.services.items()
                if waiting or shed
            ],
        )


class _Sum:
    """What came together since the history was told; `services` have the most that waited, and what was turned away."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu = 0.0
        self.loop_lag = 0.0
        self.services: dict[str, tuple[int, int]] = {}


class RecentLoads(RecentReplicas[ReplicaLoad]):
    """Takes the digests of all processes, by process and replica."""

    def add(self, process: str, replica: int, digest: ProcessDigest, now: float, ended: float | None) -> list[LoadRows]:
        """Take in a digest; gives what the history is to keep where ten seconds `ended`."""
        key = (process, replica)
        load = self._replicas.setdefault(key, ReplicaLoad(process, replica))
        load.add(digest, now)
        return [] if ended is None else [load.rows(ended)]

    def of(self, process: str, replica: int) -> ReplicaLoad | None:
        """What is known of a replica."""
        return self._replicas.get((process, replica))

    def all(self) -> list[ProcessLoad]:
        """What each replica carries, at the last look."""
        return [load.told for _, load in sorted(self._replicas.items())]
