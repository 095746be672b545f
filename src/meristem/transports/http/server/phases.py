"""What a connection of the server is at."""

from __future__ import annotations

from typing import Final

IDLE: Final = 0  # between two requests
HEAD: Final = 1  # the head of a request has begun to arrive
BODY: Final = 2
BUSY: Final = 3  # a handler works on the answer
DELEGATED: Final = 4  # the ASGI app answers
LINGER: Final = 5  # the last answer is out; what still arrives is dropped
