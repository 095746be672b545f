"""Limits that keep a server and a client alive whatever their peers send; each has a safe default."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

MIB: Final = 1024 * 1024

Size: TypeAlias = Annotated[int, Meta(ge=1024)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0.1, le=86400.0)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
ADDED_BYTES: Final = 4096  # that the fields which the edge adds to a head may have
ADDED_FIELDS: Final = 16


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a server accepts. Sizes in bytes, times in seconds.

    They hold for every request of a connection. The head of a request may have `head_bytes`, of them `target_bytes`
    for its target, and `head_fields` fields; its trailers may have as much again, and are dropped.

    `body_bytes` and `body_seconds` bound the whole body of a request that Meristem serves itself (RPC and REST). Such
    a request holds at most `body_values` values: numbers, strings, lists and objects; 64 escapes in strings count as
    one, and so do 128 bytes of strings that are not ASCII. A compressed one may unpack to a MiB, or else to 100 times
    what was sent. For hosted apps `body_seconds` is the longest time without a byte, and a
    body that takes longer than that in all must come with `body_rate` bytes a second at least.

    A client that takes nothing of what it was sent for `write_seconds` is cut off. What takes longer than that in all
    must be taken at `write_rate` bytes a second at least.

    A body that comes in chunks has `body_chunks` of them, and any number more while they hold 32 bytes on average.

    `pipelined_bytes` may wait behind an unanswered request before the connection is read no further. While a server
    drains, an idle connection has `first_seconds` for one more request, so that none is lost that was on its way.

    Of all `connections` as many as `connections_per_address` may come from one address; set it where clients connect
    directly, for behind a proxy all come from there. An IPv6 network of 64 bits counts as one address, for one host may
    have all of it. Unix sockets are not counted. A server's public addresses have `connections` in all, and those that
    are not public as many again: the public keeps no caller of the system out. Where all are used, a new one takes the
    place of the one that has been idle for longest, and for two seconds at least.

    `trusted_proxies` are the peers that are believed when they say where a request came from: addresses, networks, and
    `unix` for those who connect to a Unix socket.

    A hosted WSGI app has `app_threads` threads, `app_waiting` requests may wait for one, and the body of a request,
    which is taken in before it gets one, may have `upload_bytes`.
    """

    head_bytes: Size = 64 * 1024
    head_fields: Count = 100
    target_bytes: Size = 16 * 1024
    body_bytes: Size = 32 * MIB
    body_values: Count = 50_000
    body_chunks: Count = 10_000
    head_seconds: Seconds = 10.0
    body_seconds: Seconds = 30.0
    body_rate: Count = 240
    write_seconds: Seconds = 30.0
    write_rate: Count = 4096
    idle_seconds: Seconds = 75.0
    linger_seconds: Seconds = 2.0
    first_seconds: Seconds = 1.0
    connections: Count = 10_000
    connections_per_address: Count = 10_000
    pipelined_bytes: Size = 64 * 1024
    app_threads: Count = 32
    app_waiting: Count = 1_000
    upload_bytes: Size = 1024 * MIB
    trusted_proxies: tuple[str, ...] = ()

    def tick(self) -> float:
        """How often deadlines of connections are looked at."""
        shortest = min(self.head_seconds, self.body_seconds, self.write_seconds, self.idle_seconds, self.linger_seconds)
        return min(1.0, shortest / 4)

    def inside(self) -> Limits:
        """Those of addresses that are not public: with room for what the edge adds to a head, and all from one host."""
        return msgspec.structs.replace(
            self,
            head_bytes=self.head_bytes + ADDED_BYTES,
            head_fields=self.head_fields + ADDED_FIELDS,
            connections_per_address=self.connections,
        )


class ClientLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client uses and accepts. Sizes in bytes, times in seconds.

    At most `connections` are open to one address; further calls wait in the order in which they came. One of them may
    carry many calls at once, as many as there may be connections.
    """

    connections: Count = 256
    reply_bytes: Size = 64 * MIB
    connect_seconds: Seconds = 5.0
    stream_window: Count = 64  # replies of a stream that may wait to be read
