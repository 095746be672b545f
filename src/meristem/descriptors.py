"""File descriptors: as many as the machine allows, and a plain word when they run out."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Final

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

HIGHEST: Final = 1 << 20  # what is asked for where the machine sets no limit; more costs who closes all of them
PORTABLE: Final = 10_240  # macOS gives no more, and says that its limit is infinite


def raise_limit() -> None:
    """Raise the soft limit of this process to the hard one; those that it starts inherit it."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (HIGHEST, PORTABLE):
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        with contextlib.suppress(OSError, ValueError):  # not allowed after all: the lower one may be
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def remedy(error: OSError) -> str:
    """What to do about an error, if it says that the descriptors have run out; else nothing."""
    if error.errno == errno.EMFILE:
        return f": {_all_in_use()}"
    if error.errno == errno.ENFILE:
        return ": all files that this machine may have open are in use; raise its limit (sysctl fs.file-max)"
    return ""


def shortage() -> str:
    """What to do, if no file can be opened now because the descriptors have run out; else nothing."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return remedy(error)
    return ""


def _all_in_use() -> str:
    allowed = "" if resource is None else f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]} "
    return (
        f"all {allowed}file descriptors of this process are in use (RLIMIT_NOFILE); raise the limit: "
        "`ulimit -Hn` of the shell, LimitNOFILE= of systemd, --ulimit nofile= of a container"
    )
