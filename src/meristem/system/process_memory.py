"""How much memory a process has, as the operating system tells it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def memory_of(pid: int) -> int | None:
    """The resident memory of a process in bytes; None when it has ended."""
    try:
        # The second number is what is resident, in pages (proc(5)).
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (FileNotFoundError, ProcessLookupError):  # the latter where it ends between opening and reading
        # The process has ended, or there is no /proc (macOS); `ps` tells which, in KiB.
        asked = ["ps", "-o", "rss=", "-p", str(pid)]
        told = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - a system's own tool
        return int(told.stdout) * 1024 if told.stdout.strip() else None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
