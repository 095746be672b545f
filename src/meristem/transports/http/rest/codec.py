"""Operations in REST: path, query and JSON body become the message, errors become problem details."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.context import DEADLINE_FIELD
from meristem.contracts.call import Call
from meristem.contracts.codec import encoder
from meristem.contracts.counting import bound_values
from meristem.contracts.file_part import FilePart
from meristem.contracts.wiretypes import struct_of
from meristem.errors import CallError, Code
from meristem.head_fields import AUTHORIZATION, COOKIE
from meristem.position_fields import sent, told
from meristem.transports.authorize import bearer_of
from meristem.transports.http.compression import ENCODING, plain_body
from meristem.transports.http.errors import RefusedError
from meristem.transports.http.media import media_of
from meristem.transports.http.responses import JSON, NOSNIFF, OCTETS, PROBLEM, Response
from meristem.transports.http.rest.binding import Binder
from meristem.transports.http.rest.caching import AnswerCaching
from meristem.transports.http.rest.downloads import INLINE, DownloadStream, attachment, declared_media, media_type
from meristem.transports.http.rest.errors import problem_of
from meristem.transports.http.rest.streaming import ReplyStream, format_of
from meristem.transports.metadata import context_from
from meristem.transports.unary import LIGHT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from meristem.asgi import Field
    from meristem.context import Context, Identity
    from meristem.contracts.call import Handler, ServedOperation
    from meristem.contracts.operation import Http, Operation
    from meristem.errors import Fault
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Principal
    from meristem.transports.http.rest.errors import Problem
    from meristem.transports.metadata import Metadata

PLAIN: Final = (NOSNIFF,)
DEADLINE: Final = DEADLINE_FIELD.encode()
MOST_DIGITS: Final = 10


class RestRequest(msgspec.Struct, gc=False):
    """A request to a resource: its path and query are still percent-encoded.

    `placeholders` are the segments for which those of the resource's path stand, `client` is the address of who sends
    it, where the operation asks for that, and `user` who that is, where it has been found out. The token of the
    system's own services means nothing here: what REST serves is public.
    """

    head: Metadata
    path: str
    placeholders: Sequence[str]
    query: bytes
    body: bytes
    bearer: str | None
    heavy: bool
    client: str = ""
    user: Identity | None = None
    context: Context | None = None
    token: None = None

    @staticmethod
    def of(
        head: Metadata,
        path: str,
        placeholders: Sequence[str],
        query: bytes,
        body: bytes,
        client: str = "",
        user: Identity | None = None,
    ) -> RestRequest:
        """The request with the proof of who sends it that its head holds."""
        bearer = bearer_of(head.get(AUTHORIZATION))
        heavy = len(body) > LIGHT or ENCODING in head
        return RestRequest(head, path, placeholders, query, body, bearer, heavy, client, user)


class RestCodec:
    """An operation at its place in REST; `docs` is where the API page is served."""

    __slots__ = ("_caching", "_docs", "_http", "_media", "_write", "binder", "handler", "limits", "operation")

    def __init__(self, endpoint: ServedOperation, http: Http, docs: str, limits: Limits) -> None:
        self.operation: Operation = endpoint.operation
        self.handler: Handler = endpoint.handler
        self.binder = Binder(endpoint.operation, http)
        cache = http.cache
        self._caching = None if cache is None else AnswerCaching(cache, authenticated=endpoint.operation.authenticated)
        self._docs = docs
        self._http = http
        self._media = declared_media(http.media, endpoint.operation.reply)
        self._write = encoder(endpoint.operation.reply)
        self.limits = limits

    def __str__(self) -> str:
        return self.operation.label

    @property
    def takes_body(self) -> bool:
        """Whether the body of a request is looked at."""
        return self.binder.takes_body

    @property
    def asks_client(self) -> bool:
        """Whether the operation wants to know the address of who sends a request."""
        return self.binder.asks_client

    def read(self, request: RestRequest, principal: Principal | None, user: Identity | None) -> Call:
        """The call; raises CallError for one without the user it needs, then for each field that does not fit."""
        context = self.context(request, principal, user)
        body, binder = request.body, self.binder
        if body:
            body = _unpacked(request.head, body, self.limits.body_bytes, binder.media)
            if binder.media is None:
                bound_values(body, self.limits.body_values)
        message = binder.bind(request.placeholders, request.query, body, request.head, request.client)
        return Call(self.operation, message, context)

    def context(self, request: RestRequest, principal: Principal | None, user: Identity | None) -> Context:
        """What surrounds the call; raises CallError for one without the user it needs."""
        deadline = None
        if (milliseconds := request.head.get(DEADLINE, b"")).isdigit() and len(milliseconds) <= MOST_DIGITS:
            deadline = monotonic() + int(milliseconds) / 1000
        context = request.context = context_from(request.head, principal, user, deadline)
        if context.positions is None and COOKIE in request.head:
            context.positions = sent(request.head)
        # Before the body is looked at: a stranger is not told what a sound request looks like.
        if self.operation.authenticated and context.user is None:
            raise CallError(Code.UNAUTHENTICATED, "sign in first and send `Authorization: Bearer …`")
        return context

    def reply(self, request: RestRequest, reply: Any) -> Response | ReplyStream | DownloadStream:
        """The response to a call, or for a stream what sends its replies one by one."""
        if self.operation.stream:
            return self._replies(request, reply)
        response = self._whole(reply)
        if self._caching is not None:
            response = self._caching.conditional(request.head, response)
        if fields := told(request.context):
            response.fields = [*response.fields, *fields]
        return response

    def _whole(self, reply: Any) -> Response:
        status = self._http.status
        if reply is None:
            return Response(204 if status == 200 else status, b"", b"", PLAIN)
        if isinstance(reply, FilePart):
            return Response(status, media_type(reply), reply.data, [NOSNIFF, attachment(reply)])
        if self._media == JSON:
            return Response(status, JSON, self._write(reply), PLAIN)
        return Response(status, self._media, reply.encode() if isinstance(reply, str) else bytes(reply), INLINE)

    def failure(self, request: RestRequest, error: Fault | CallError) -> Response:
        return problem_response(problem_of(error, self._docs), request.path, *told(request.context))

    def _replies(self, request: RestRequest, replies: AsyncIterator[Any]) -> ReplyStream | DownloadStream:
        if self._media != JSON or struct_of(self.operation.reply) is FilePart:
            return DownloadStream(self.operation, self._media, replies)
        style = format_of(request.head.get(b"accept", b""))

        def problem(error: Fault | CallError) -> bytes:
            return problem_of(error, self._docs).body(request.path)

        return ReplyStream(self.operation, style, replies, problem)


def problem_response(problem: Problem, path: str, *fields: Field) -> Response:
    """The response that tells of a problem with the request to a path."""
    return Response(problem.status, PROBLEM, problem.body(path), [NOSNIFF, *problem.headers, *fields])


def _unpacked(head: Metadata, body: bytes, limit: int, wanted: str | None) -> bytes:
    """A body without its coding; raises CallError for a type of media that is not `wanted`, where that is JSON or not.

    A coding that is not known is refused, too.
    """
    given = head.get(b"content-type", JSON if wanted is None else OCTETS)
    if given != JSON or wanted is not None:
        check_media(media_of(head) or given, wanted)
    return plain_body(head, body, limit)


def check_media(media: bytes, wanted: str | None) -> None:
    """Raises CallError for a media type that is none of a range, `image/*`; None wants JSON."""
    if wanted is None:
        if media == JSON or media.endswith(b"+json"):
            return
        wanted = "application/json"
    else:
        kind, _, part = wanted.partition("/")
        mine, _, own = media.decode("latin-1").partition("/")
        if kind in ("*", mine) and part in ("*", own):
            return
    message = f"send `content-type: {wanted}`, not {media.decode('latin-1')}"
    raise RefusedError(Code.INVALID_ARGUMENT, 415, message)
