"""What a connection of the server is at, and what it then waits for."""

from __future__ import annotations

from typing import Final

IDLE: Final = 0  # between two requests
HEAD: Final = 1  # the head of a request has begun to arrive
BODY: Final = 2
BUSY: Final = 3  # a handler works on the answer
DELEGATED: Final = 4  # the ASGI app answers
LINGER: Final = 5  # the last answer is out; what still arrives is dropped

# What the peer of a connection may be overdue with besides: a connection is never in these by itself.
UNREAD: Final = 6  # reading what it was sent
HOSTED_HEAD: Final = 7  # more of a request that the ASGI app reads
HOSTED_BODY: Final = 8
