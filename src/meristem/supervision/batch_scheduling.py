"""Has the kernel's scheduler let others go first: a process interrupts nobody, and whoever wakes interrupts it.

Sources: sched(7), sched_setattr(2), Documentation/scheduler/sched-eevdf.rst.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from typing import Final

SLICE: Final = 100_000_000  # nanoseconds, the most that the kernel takes
NUMBERS: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}  # of the system call: older C libraries lack it


class _Attributes(ctypes.Structure):
    """`struct sched_attr` in its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def schedule_as_batch(pid: int) -> None:
    """Let a process, and all that it starts from now on, go behind whoever wakes, where the kernel allows it.

    Its share stays as it is. Since Linux 6.12 who asks for shorter pieces than one that runs goes first; before, it
    only interrupts nobody. Raises ProcessLookupError when it has ended.
    """
    number = NUMBERS.get(platform.machine())
    if sys.platform != "linux" or number is None or sys.maxsize < 1 << 32:  # numbers are others for 32 bits
        return
    nice = os.getpriority(os.PRIO_PROCESS, pid)
    attributes = _Attributes(ctypes.sizeof(_Attributes), os.SCHED_BATCH, 0, nice, 0, SLICE, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    refused = libc.syscall(ctypes.c_long(number), ctypes.c_int(pid), ctypes.byref(attributes), ctypes.c_uint(0)) != 0
    if refused and ctypes.get_errno() == errno.ESRCH:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    # Any other refusal, a container's or an older kernel's, is no error: neighbours wait a little longer.
