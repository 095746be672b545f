"""A request of HTTP/1.1 whose framing is settled, and the port to what answers requests."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from meristem.asgi import Field
    from meristem.context import Identity
    from meristem.transports.http.responses import Response
    from meristem.transports.metadata import Metadata
    from meristem.transports.unary import Codec


Piece_co = TypeVar("Piece_co", covariant=True)


class BodyCoder(Protocol):
    """Changes the body of one answer as it goes out."""

    def feed(self, part: bytes, *, more: bool) -> bytes:
        """What goes out in place of the next part; the last one is without `more`."""
        ...


class AnswerTerms(Protocol):
    """What holds for the answers to some requests, beyond what answers them."""

    def shape(self, request: Request, fields: Iterable[Field]) -> list[Field]:
        """The header fields of an answer to the request."""
        ...

    def key(self, request: Request) -> Hashable:
        """What of a request they look at: for all with the same, they say the same of the same answer."""
        ...

    def coder(
        self, request: Request, status: int, fields: list[Field], media: bytes = b"", length: int | None = None
    ) -> BodyCoder | None:
        """What changes the body, if anything does; then `fields` tell of it, and have no length any more.

        `media` and `length` are told where they do not stand among the fields.
        """
        ...


class AnswerTally(Protocol):
    """Counts the answers to some requests."""

    def record(self, seconds: float, status: int) -> None:
        """An answer with this status began so many seconds after its request, or its client left before (499)."""
        ...


class Request(msgspec.Struct, gc=False):
    """The head of a request: `path` and `query` are as they were sent, percent-encoded.

    `fields` are all header fields in their order, names in lower case; `head` has them by name, where a repeated one
    is joined to a list (RFC 9110, 5.3). `version` is `1.0` or `1.1`, `raw` the whole head as it came. `client` is the
    address of who sends it, found where a resource asks for it, and so is `user_id`: whose process is at the other
    end of a Unix socket, None where the operating system does not tell. `scheme` and `host` are as the client sent it,
    before trusted proxies, and found with `client`. Its answer has `answer_fields` more, and is as
    `answer_terms` say; where it is forwarded, it may be sent `retries` times more. `user` is who sends it, where a
    policy has found that out; `route` is that of the policy, and `refused` by what and why it said no. What answers it
    is counted by a `tally`, if there is one, as of a request that `began` at this value of `perf_counter`. What
    the policy has `found` in the head it need not look for again where a client repeats that.
    """

    method: str
    path: bytes
    query: bytes
    version: str
    fields: list[Field]
    head: Metadata
    raw: bytes = b""
    client: str = ""
    user_id: int | None = None
    scheme: str = "http"
    host: bytes = b""
    answer_fields: Sequence[Field] = ()
    answer_terms: AnswerTerms | None = None
    retries: int = 0
    user: Identity | None = None
    route: str = ""
    refused: str = ""
    tally: AnswerTally | None = None
    began: float = 0.0
    found: object = None

    def count(self, status: int) -> None:
        """Its answer begins: said where the head is written, of which the first one counts."""
        tally = self.tally
        if tally is not None:
            self.tally = None
            tally.record(perf_counter() - self.began, status)


class ReplyWriter(Protocol):
    """Sends a response whose body is written bit by bit."""

    @property
    def bodiless(self) -> bool:
        """Whether nothing follows the head, as in an answer to HEAD."""
        ...

    def begin(self, status: int, fields: Iterable[Field]) -> None:
        """The head; it is sent with what comes next."""
        ...

    def start(self, status: int, media: bytes, fields: Sequence[Field] = ()) -> None:
        """The head; it is sent at once."""
        ...

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """A part of the body; the last one is without `more`. Waits while the client does not read."""
        ...

    def abort(self) -> None:
        """Cut the connection, so that nobody takes what was sent for the whole."""
        ...


class PieceReader(Protocol[Piece_co]):
    """Cuts the bytes of a body into the pieces that are taken of it."""

    @property
    def size(self) -> int:
        """How many bytes wait to be cut."""
        ...

    def add(self, data: bytes) -> None:
        """Take in what has arrived."""
        ...

    def next(self) -> Piece_co | None:
        """The next piece, if it is complete; raises ValueError above its limit."""
        ...


class PieceSource(Protocol[Piece_co]):
    """Where the pieces of a request come from."""

    async def take(self) -> Piece_co | None:
        """The next piece, None behind the last one.

        Raises ValueError for one above the limit, EOFError for one that is cut short, ConnectionError once the client
        has gone.
        """
        ...


class StreamedReply(Protocol):
    """The replies of a stream, ready to be sent."""

    async def send(self, writer: ReplyWriter) -> None:
        """Send all of them; what is raised before the head is sent has a response of its own."""
        ...


class Resource(Protocol):
    """What answers a request that was found for it."""

    @property
    def takes_body(self) -> bool:
        """Whether the body of the request is looked at."""
        ...

    @property
    def asks_client(self) -> bool:
        """Whether the address of who sends the request is asked for."""
        ...

    @property
    def takes_stream(self) -> bool:
        """Whether the body is taken piece by piece while the request is answered."""
        ...

    def received(self, request: Request, body: bytes) -> tuple[Codec[Any, Response | StreamedReply], Any]:
        """The codec that answers the request, and what it makes of it."""
        ...

    def reader(self) -> PieceReader[Any]:
        """What cuts the body of a request into pieces."""
        ...

    def streamed(
        self, request: Request, source: PieceSource[Any], *, inside: bool
    ) -> tuple[Codec[Any, Response | StreamedReply], Any]:
        """As `received`, for a request whose pieces come from `source`.

        `inside` says that a client without a token is of the system, too.
        """
        ...


class Interface(Protocol):
    """Resources by path."""

    def find(self, request: Request) -> Resource | Response | None:
        """What answers a request, the response where nothing can; None for a path that is not known here."""
        ...
