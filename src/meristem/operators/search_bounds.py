"""How much one question of an operator may ask for, so that it costs those who answer it little."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from msgspec import Meta

Most: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
# SQLite looks for no longer patterns than 50,000 bytes, and no database for larger numbers than 64 bits.
SoughtText: TypeAlias = Annotated[str, Meta(max_length=1000)]
RowNumber: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
# Each is a part of the statement, and making one of 3,000 holds the event loop of a process that serves up for seconds.
SoughtFields: TypeAlias = Annotated[dict[str, SoughtText], Meta(max_length=16)]
Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
