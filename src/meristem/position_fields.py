"""How positions come and go with a request of HTTP: by a field of their own, and for browsers by a cookie."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from meristem.head_fields import COOKIE, POSITIONS
from meristem.log_positions import KEPT, Positions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.asgi import Field
    from meristem.context import Context

_OWN: Final = re.compile(rb"(?:^|[;,]) *meristem-positions=([0-9a-f:.*-]+) *(?:[;,]|$)")


def grown(context: Context | None) -> bytes | None:
    """The positions that an answer tells: None where nothing was written, or where nobody follows that."""
    positions = None if context is None else context.positions
    return positions.text().encode() if positions is not None and positions.has_grown else None


def told(context: Context | None) -> tuple[Field, ...]:
    """As `grown`, as the fields of an answer; a browser sends them with its next requests, wherever they go here."""
    text = grown(context)
    if text is None:
        return ()
    cookie = b"%b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax" % (POSITIONS, text, KEPT)
    return (POSITIONS, text), (b"set-cookie", cookie)


def sent(fields: Mapping[bytes, bytes]) -> Positions | None:
    """What a client of HTTP sends of them, or else its browser; what is malformed counts as not sent."""
    if (text := fields.get(POSITIONS)) is not None:
        return Positions.read(text.decode("latin-1"))
    found = _OWN.search(fields.get(COOKIE, b""))
    return None if found is None else Positions.read(found[1].decode("latin-1"))
