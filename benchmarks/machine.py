"""The machine under the benchmark: its cores, and what processes take of it."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CLIENT, SERVER = 0, 1  # places in the list of cores
PACKAGES = (
    "msgspec", "uvloop", "httptools", "uvicorn", "sqlalchemy", "fastapi", "starlette", "pydantic", "httpx", "aiohttp",
    "grpcio", "protobuf", "connectrpc", "pyqwest", "aiosqlite",
)  # fmt: skip


def can_pin() -> bool:
    """Whether processes can be held on one core each."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


@contextmanager
def on_core(place: int) -> Iterator[None]:
    """Start processes on one core: they inherit the affinity that this one has meanwhile."""
    if not can_pin():
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pids: list[int]) -> float:
    """Seconds of CPU that processes have used so far; one that is gone counts nothing."""
    return sum(_cpu(pid) for pid in pids)


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """The resident memory of a process, in MB; 0 where it cannot be read."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_files(pid: int) -> int:
    """How many files and sockets a process has open; 0 where that cannot be read."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names alone, and quickly
    except OSError:
        return 0


def descendants(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    found = [pid]
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return found
    for child in children:
        found += descendants(int(child))
    return found


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def facts() -> dict[str, str]:
    """What a reader must know of the machine to compare figures with those of another."""
    model = next((each.partition(":")[2].strip() for each in _lines("/proc/cpuinfo") if each[:10] == "model name"), "")
    memory = next((int(each.split()[1]) / 1e6 for each in _lines("/proc/meminfo") if each[:8] == "MemTotal"), 0.0)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": model or platform.machine(),
        "cores": str(cores),
        "memory": f"{memory:.0f} GB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load when the run began": f"{load:.1f}",
        "pinned": "client on one core, server on another" if can_pin() else "no: this machine cannot pin processes",
    }


def versions() -> dict[str, str]:
    """The interpreter and the packages that were measured."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
