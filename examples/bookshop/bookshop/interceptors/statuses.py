"""Which status an exception means, in grpcio's words; the table is that of `bookshop.monitoring`."""

from __future__ import annotations

import logging
from typing import Final

import grpc

STATUSES: Final[tuple[tuple[type[Exception], grpc.StatusCode], ...]] = (  # the first that fits
    (NotImplementedError, grpc.StatusCode.UNIMPLEMENTED),
    (PermissionError, grpc.StatusCode.PERMISSION_DENIED),
    (FileNotFoundError, grpc.StatusCode.NOT_FOUND),
    (LookupError, grpc.StatusCode.NOT_FOUND),
    (ValueError, grpc.StatusCode.INVALID_ARGUMENT),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (ConnectionError, grpc.StatusCode.UNAVAILABLE),
)
FAULTS: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
OUTAGES: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)


def status_of(error: Exception) -> grpc.StatusCode:
    """The status that an exception means: `INTERNAL` where it says nothing."""
    return next((code for kind, code in STATUSES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def level_of(code: grpc.StatusCode) -> int:
    """What is our fault is an error, what passes a warning, and what was asked wrongly is of interest at most."""
    if code in FAULTS:
        return logging.ERROR
    return logging.WARNING if code in OUTAGES else logging.INFO


def label_of(method: str | bytes) -> str:
    """`Recommendations.Recommend` of `/shop.v1.Recommendations/Recommend`."""
    path = method.decode() if isinstance(method, bytes) else method
    service, _, name = path.strip("/").partition("/")
    return f"{service.rpartition('.')[2]}.{name}"
