"""Limits that keep a server and a client alive whatever their peers send; each has a safe default."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

MIB: Final = 1024 * 1024

Size: TypeAlias = Annotated[int, Meta(ge=1024)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0.1, le=86400.0)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a server accepts. Sizes in bytes, times in seconds.

    `body_bytes` and `body_seconds` bound the requests that Meristem serves itself (RPC and REST); for hosted apps
    `body_seconds` is the longest time without a byte. Such a request holds at most `body_values` values: numbers,
    strings, lists and objects. A compressed one may unpack to a MiB, or else to 100 times what was sent.

    `pipelined_bytes` may wait behind an unanswered request before the connection is read no further. While a server
    drains, an idle connection has `first_seconds` for one more request, so that none is lost that was on its way.

    A hosted WSGI app has `app_threads` threads, `app_waiting` requests may wait for one, and the body of a request,
    which is taken in before it gets one, may have `upload_bytes`.
    """

    head_bytes: Size = 64 * 1024
    body_bytes: Size = 32 * MIB
    body_values: Count = 100_000
    head_seconds: Seconds = 10.0
    body_seconds: Seconds = 30.0
    write_seconds: Seconds = 30.0
    idle_seconds: Seconds = 75.0
    linger_seconds: Seconds = 2.0
    first_seconds: Seconds = 1.0
    connections: Count = 10_000
    pipelined_bytes: Size = 64 * 1024
    app_threads: Count = 32
    app_waiting: Count = 1_000
    upload_bytes: Size = 1024 * MIB

    def tick(self) -> float:
        """How often deadlines of connections are looked at."""
        shortest = min(self.head_seconds, self.body_seconds, self.write_seconds, self.idle_seconds, self.linger_seconds)
        return min(1.0, shortest / 4)


class ClientLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client uses and accepts. Sizes in bytes, times in seconds.

    At most `connections` are open to one address; further calls wait in the order in which they came.
    """

    connections: Count = 256
    reply_bytes: Size = 64 * MIB
    connect_seconds: Seconds = 5.0
    stream_window: Count = 64  # replies of a stream that may wait to be read
