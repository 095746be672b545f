"""What a connection of the server is at, and what it then waits for."""

from __future__ import annotations

from typing import Final

IDLE: Final = 0  # between two requests
HEAD: Final = 1  # the head of a request has begun to arrive
BODY: Final = 2  # its body is taken in, or what is left of it after an early answer is dropped
BUSY: Final = 3  # a handler works on the answer
HOSTED: Final = 4  # an ASGI app answers, and may read the body meanwhile
SOCKET: Final = 5  # the bytes belong to a WebSocket
LINGER: Final = 6  # the last answer is out; what still arrives is dropped

# What the peer of a connection may be overdue with besides: a connection is never in these by itself.
UNREAD: Final = 7  # reading what it was sent
HOSTED_BODY: Final = 8  # more of the body that an app reads
