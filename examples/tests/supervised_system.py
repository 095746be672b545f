"""A system with its parts in several processes, which a test may kill, freeze and renew one by one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from served import PATIENCE, Served, eventually

from meristem.system.state_directory import StateDirectory
from meristem.system.system_status import ReplicaStatus


class Supervised(Served):
    """A system whose processes a supervisor keeps; `name` is the system's own."""

    name = ""

    def replicas(self) -> dict[str, ReplicaStatus]:
        """What the supervisor keeps, as `search-1`."""
        running = StateDirectory(self.home, self.name).running()
        return {} if running is None else {f"{each.process}-{each.replica}": each for each in running.replicas}

    def kill(self, label: str) -> None:
        """`kill -9`."""
        pid = self.replicas()[label].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def whole(self) -> None:
        """Return when every process is ready."""
        eventually(self.replicas, lambda found: found and {each.state for each in found.values()} == {"ready"})

    @contextmanager
    def frozen(self, label: str) -> Iterator[None]:
        """A process that is stopped (SIGSTOP) inside the block and goes on (SIGCONT) behind it."""
        pid = self.replicas()[label].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def dying(self, label: str) -> Iterator[None]:
        """A process that is killed whenever it is there, inside the block; it is gone when the block begins."""
        over = threading.Event()
        before = self.replicas()[label]

        def kill() -> None:
            while not over.wait(0.01):
                if pid := self.replicas()[label].pid:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            eventually(lambda: self.replicas()[label], lambda now: now.pid != before.pid or now.state != "ready")
            yield
        finally:
            over.set()
            killer.join(PATIENCE)
