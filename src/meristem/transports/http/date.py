"""When an answer was made (RFC 9110, 6.6.1): the line `date` of its head."""

from __future__ import annotations

from functools import lru_cache
from time import gmtime, time
from typing import Final

DAYS: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


def date_line() -> bytes:
    """The line for an answer that is made now, with its end; formatted once a second, and always as long."""
    return _line_at(int(time()))


@lru_cache(1)
def _line_at(second: int) -> bytes:
    # By hand, for `strftime` writes the names of the locale.
    at = gmtime(second)
    day, month = DAYS[at.tm_wday], MONTHS[at.tm_mon - 1]
    of_day = (at.tm_hour, at.tm_min, at.tm_sec)
    return b"date: %b, %02d %b %04d %02d:%02d:%02d GMT\r\n" % (day, at.tm_mday, month, at.tm_year, *of_day)


DATE_LENGTH: Final = len(_line_at(0))
