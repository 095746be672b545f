"""Operations in REST: path, query and JSON body become the message, errors become problem details."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.contracts.call import Call
from meristem.contracts.codec import encoder
from meristem.contracts.counting import bound_values
from meristem.errors import CallError, Code
from meristem.transports.authorize import bearer_of
from meristem.transports.http.compression import CODINGS, unpacked
from meristem.transports.http.errors import RefusedError
from meristem.transports.http.media import media_of
from meristem.transports.http.responses import JSON, PROBLEM, Response
from meristem.transports.http.rest.binding import Binder
from meristem.transports.http.rest.errors import problem_of
from meristem.transports.http.rest.streaming import ReplyStream, format_of
from meristem.transports.metadata import AUTHORIZATION, context_from
from meristem.transports.unary import LIGHT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from meristem.asgi import Field
    from meristem.context import Identity
    from meristem.contracts.call import Handler, ServedOperation
    from meristem.contracts.operation import Http, Operation
    from meristem.errors import Fault
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Principal
    from meristem.transports.http.rest.errors import Problem
    from meristem.transports.metadata import Metadata

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
ENCODING: Final = b"content-encoding"
PLAIN: Final = (NOSNIFF,)
# Files are shown by what their media type says; without nosniff a browser could run an upload as a script.
INLINE: Final = (NOSNIFF, (b"content-disposition", b"inline"))


class RestRequest(msgspec.Struct, gc=False):
    """A request to a resource: its path and query are still percent-encoded.

    `placeholders` are the segments for which those of the resource's path stand. The token of the system's own
    services means nothing here: what REST serves is public.
    """

    head: Metadata
    path: str
    placeholders: Sequence[str]
    query: bytes
    body: bytes
    bearer: str | None
    heavy: bool
    token: None = None

    @staticmethod
    def of(head: Metadata, path: str, placeholders: Sequence[str], query: bytes, body: bytes) -> RestRequest:
        """The request with the proof of who sends it that its head holds."""
        bearer = bearer_of(head.get(AUTHORIZATION))
        heavy = len(body) > LIGHT or ENCODING in head
        return RestRequest(head, path, placeholders, query, body, bearer, heavy)


class RestCodec:
    """An operation at its place in REST; `docs` is where the API page is served."""

    __slots__ = ("_binder", "_docs", "_http", "_limits", "_media", "_write", "handler", "operation")

    def __init__(self, endpoint: ServedOperation, http: Http, docs: str, limits: Limits) -> None:
        self.operation: Operation = endpoint.operation
        self.handler: Handler = endpoint.handler
        self._binder = Binder(endpoint.operation, http)
        self._docs = docs
        self._http = http
        self._media = http.media.encode()
        self._write = encoder(endpoint.operation.reply)
        self._limits = limits

    def __str__(self) -> str:
        return self.operation.label

    @property
    def takes_body(self) -> bool:
        """Whether the body of a request is looked at."""
        return self._binder.takes_body

    def read(self, request: RestRequest, principal: Principal | None, user: Identity | None) -> Call:
        """The call; raises CallError for one without the user it needs, then for each field that does not fit."""
        context = context_from(request.head, principal, user)
        # Before the body is looked at: a stranger is not told what a sound request looks like.
        if self.operation.authenticated and context.user is None:
            raise CallError(Code.UNAUTHENTICATED, "sign in first and send `Authorization: Bearer …`")
        body = request.body
        if body:
            body = _unpacked(request.head, body, self._limits.body_bytes)
            bound_values(body, self._limits.body_values)
        message = self._binder.bind(request.placeholders, request.query, body)
        return Call(self.operation, message, context)

    def reply(self, request: RestRequest, reply: Any) -> Response | ReplyStream:
        """The response to a call, or for a stream what sends its replies one by one."""
        if self.operation.stream:
            return self._replies(request, reply)
        status = self._http.status
        if reply is None:
            return Response(204 if status == 200 else status, b"", b"", PLAIN)
        if self._media == JSON:
            return Response(status, JSON, self._write(reply), PLAIN)
        return Response(status, self._media, reply.encode() if isinstance(reply, str) else bytes(reply), INLINE)

    def failure(self, request: RestRequest, error: Fault | CallError) -> Response:
        return problem_response(problem_of(error, self._docs), request.path)

    def _replies(self, request: RestRequest, replies: AsyncIterator[Any]) -> ReplyStream:
        style = format_of(request.head.get(b"accept", b""))

        def problem(error: Fault | CallError) -> bytes:
            return problem_of(error, self._docs).body(request.path)

        return ReplyStream(self.operation, style, replies, problem)


def problem_response(problem: Problem, path: str, *fields: Field) -> Response:
    """The response that tells of a problem with the request to a path."""
    return Response(problem.status, PROBLEM, problem.body(path), [NOSNIFF, *problem.headers, *fields])


def _unpacked(head: Metadata, body: bytes, limit: int) -> bytes:
    """The JSON of a body; raises CallError for another media type and for a coding that is not known."""
    given = head.get(b"content-type", JSON)
    if given != JSON:
        media = media_of(head)
        if media != JSON and not media.endswith(b"+json"):
            message = f"send `content-type: application/json`, not {media.decode('latin-1')}"
            raise RefusedError(Code.INVALID_ARGUMENT, 415, message)
    if (coding := head.get(ENCODING)) is None:
        return body
    if coding.lower() not in CODINGS:
        message = f"content-encoding {coding.decode('latin-1')!r} is not known; send gzip or identity"
        raise RefusedError(Code.INVALID_ARGUMENT, 415, message, [(b"accept-encoding", b", ".join(CODINGS))])
    return unpacked(coding.lower(), body, limit)
