"""Heads of Meristem's own client: their constant part is parsed once and recognized from then on.

Why this is safe: a head is a list of lines, and the parser reads each line by itself. The first part was read by the
parser, byte for byte the same; the last part has exactly the form below its pattern, in which no line can be anything
but the field it names. So the whole holds nothing that the parser would read otherwise, and no second parser can
disagree with the first about where the body begins. Every other head goes to the parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.head_fields import BAGGAGE, POSITIONS, TRACE, TRACE_STATE
from meristem.transports.http.connect.codec import TIMEOUT, OwnRequest
from meristem.transports.http.connect.interface import Route
from meristem.transports.http.connect.ownhead import CHANGING, LAST_CONSTANT
from meristem.transports.metadata import KEY, TOKEN

if TYPE_CHECKING:
    from meristem.transports.http.connect.codec import OwnCodec
    from meristem.transports.http.request import Request, Resource
    from meristem.transports.http.responses import Response

LENGTH: Final = len(LAST_CONSTANT)
LAST: Final = (TIMEOUT, TRACE, TRACE_STATE, BAGGAGE, KEY, POSITIONS)
UNCOMMON: Final = (b"transfer-encoding", b"expect", b"upgrade", b"connection", b"authorization")
MOST_BYTES: Final = 4 * 1024 * 1024  # tokens change, and a stranger may write in each head what he likes
ENTRY: Final = 512  # bytes that a head costs beside its own and those of its token


class HeadCache:
    """What is known of the constant parts of heads: the operation that they name and the token that they carry.

    The token is kept as text, not as somebody's identity: it is verified at each call, for it expires.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[OwnCodec, str | None]] = {}
        self._size = 0

    def recognize(self, data: bytes, limit: int) -> tuple[OwnCodec, OwnRequest] | None:
        """The request that `data` is, with a body up to `limit`, and its codec; None when the parser must see it."""
        # The first such line ends the key. In a body it would be the end of a key that holds an empty line, and none
        # is ever learned: `learn` takes only what stands before the end of a head.
        at = data.find(LAST_CONSTANT) + LENGTH
        known = self._known.get(data[:at])
        if known is None or (match := CHANGING.match(data, at)) is None:
            return None
        changing, start = match.groups(), match.end()
        length = int(changing[-1])
        if len(data) != start + length or length > limit:  # in pieces, pipelined or too large
            return None
        return known[0], OwnRequest(known[1], changing, data[start:])  # type: ignore[arg-type]

    def learn(self, request: Request, found: Resource | Response | None) -> None:
        """Remember the constant part of a head that the parser has read, if all that it asks for is one unary call."""
        head, data = request.head, request.raw
        if not isinstance(found, Route) or not found.is_plain(request) or not head.keys().isdisjoint(UNCOMMON):
            return
        at = data.find(LAST_CONSTANT) + LENGTH
        match = CHANGING.match(data, at)
        # The pattern must cover the rest to the very end: a further field, which might change what the head means,
        # would stand between, and a head without the last constant line has nothing to be recognized by.
        if match is None or match.end() != len(data) or at < LENGTH:
            return
        if match.groups()[:-1] != tuple(map(head.get, LAST)):  # one of them stands in the first part, too
            return
        constant, token = data[:at], head.get(TOKEN)
        if constant in self._known:
            return
        self._size += ENTRY + 2 * at
        if self._size > MOST_BYTES:
            self._known.clear()
            self._size = ENTRY + 2 * at
        self._known[constant] = (found.own, None if token is None else token.decode("latin-1"))
