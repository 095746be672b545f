"""Faults of a soak that strike at the same time keep out of each other's way."""

import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from benchmarks.soak import striker
from benchmarks.soak.schedule import Fault, Kind
from benchmarks.soak.striker import Ground, Striker
from meristem.system.system_status import ReplicaStatus

LASTING = 0.4  # seconds


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as found:
        yield found
        found.kill()


async def test_a_replica_that_one_fault_has_stopped_is_stopped_by_another_one_once_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, victim: subprocess.Popen[bytes]
):
    monkeypatch.setattr(striker, "APART", 0.0)
    replica = ReplicaStatus(process="rooms", replica=0, pid=victim.pid, state="ready", restarts=0, since=0.0)
    site = SimpleNamespace(replicas=lambda: [replica])
    faults = [Fault(Kind.STOPPED_LONG, "rooms", 0, LASTING), Fault(Kind.STOPPED, "rooms", 0, LASTING)]
    began = time.monotonic()

    await Striker(Ground(site, None, None), faults).strike(lambda: 1.0)

    assert time.monotonic() - began >= 2 * LASTING
