"""Who owns a lease, so that the next process on the same machine sees at once that its owner is dead."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE: Final = Path("/proc/self/ns/pid")


def new_owner() -> str:
    """A name for one engine of this process: machine, process, its start, and something unique."""
    return f"{_machine()}|{os.getpid()}|{_started(os.getpid())}|{secrets.token_hex(4)}"


def is_certainly_dead(owner: str) -> bool:
    """Whether the owner's process ran where this one runs and exists no more; False when that can't be known."""
    machine, _, rest = owner.partition("|")
    if machine != _machine():
        return False
    pid, started, _ = rest.split("|")
    return not _is_alive(int(pid)) or _started(int(pid)) != started


def _machine() -> str:
    """Host, boot and process namespace: two containers of one host name see different processes."""
    try:
        return f"{socket.gethostname()}/{_BOOT.read_text().strip()[:8]}/{_PID_NAMESPACE.stat().st_ino}"
    except OSError:
        return socket.gethostname()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; process ids are used again, these pairs are not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "0"
    fields = text.rpartition(")")[2].split()
    return "0" if fields[0] in {"Z", "X"} else fields[19]
