"""Fields that a request's head has on every wire, by their names in lower case, and how a repeated one is read."""

from __future__ import annotations

from typing import Final

TRACE: Final = b"traceparent"
TRACE_STATE: Final = b"tracestate"
BAGGAGE: Final = b"baggage"
AUTHORIZATION: Final = b"authorization"
COOKIE: Final = b"cookie"
POSITIONS: Final = b"meristem-positions"
"""What the caller has written, in a request; what it has written by now, in an answer (`log_positions.py`)."""
LONGEST_LIST: Final = 8 * 1024


def add_field(fields: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """Put one more field into the `fields` of a request; `name` is in lower case.

    A field that is repeated is joined to one list, as any proxy may do (RFC 9110, section 5.3): two lines of
    `tracestate` are one. Of what can be no list, such as a `traceparent`, nothing sound comes out: neither line counts.
    What must not be told twice at all has been refused before.
    A list ends at 8 KiB: nothing here reads longer ones, and joining thousands of lines takes long.
    """
    earlier = fields.get(name)
    if earlier is None:
        fields[name] = value
    elif len(earlier) < LONGEST_LIST:
        fields[name] = b"%b, %b" % (earlier, value)
