"""A route: how requests of one operation are read from the Connect wire and its replies written."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from meristem.contracts.codec import decoder, encode, refusal
from meristem.contracts.protojson import lenient
from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from meristem.contracts.call import ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.contracts.proto import ProtoSchema
    from meristem.transports.metadata import Head, Peer, Verify

OWN_AGENT: Final = b"meristem/1"
"""The `user-agent` of Meristem's own client; its JSON is exact."""

MIN_COMPRESSED: Final = 1400  # below one network packet nothing is gained


class Binary(Protocol):
    """Reads and writes binary protobuf."""

    def read_request(self, operation: Operation, body: bytes) -> Any: ...

    def write_reply(self, operation: Operation, reply: Any) -> bytes: ...


def is_message(type_: Any) -> bool:
    """Whether a value of the type is a JSON object by itself; anything else travels as `{"result": …}`."""
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def reply_writer(type_: Any) -> Callable[[Any], bytes]:
    """A function that writes replies of the type."""
    if is_message(type_):
        return encode
    if type_ is None or type_ is type(None):
        return lambda _reply: b"{}"
    return lambda reply: b'{"result":' + encode(reply) + b"}"


def reply_reader(type_: Any) -> Callable[[bytes], Any]:
    """A function that reads replies of the type; raises msgspec.DecodeError."""
    if is_message(type_):
        return decoder(type_)
    if type_ is None or type_ is type(None):
        return lambda _body: None
    wrapped = decoder(msgspec.defstruct("Reply", [("result", type_)]))
    return lambda body: wrapped(body).result


class Route:
    """Reads the requests and writes the replies of one operation."""

    __slots__ = ("_binary", "_exact", "_lenient", "_schema", "body_limit", "handler", "operation", "public", "write")

    def __init__(
        self,
        endpoint: ServedOperation,
        body_limit: int,
        *,
        schema: Callable[[], ProtoSchema] | None = None,
        binary: Callable[[], Binary] | None = None,
    ) -> None:
        self.operation = endpoint.operation
        self.handler = endpoint.handler
        self.public = endpoint.operation.http is not None
        self.body_limit = body_limit
        self.write = reply_writer(endpoint.operation.reply)
        self._binary = binary
        self._schema = schema
        self._exact = decoder(endpoint.operation.request)
        self._lenient = lenient(endpoint.operation.request)

    def read(self, head: Head, body: bytes) -> Any:
        """The request message; raises CallError `invalid_argument` that names the field."""
        if head.get(b"user-agent") == OWN_AGENT:
            return self.read_exact(body)
        plain = self.decompressed(head, body)
        if self._binary is not None and head.get(b"content-type", b"").endswith(b"proto"):
            return self._binary().read_request(self.operation, plain)
        return self._lenient(plain)

    @property
    def speaks_proto(self) -> bool:
        """Whether binary protobuf can be read and written."""
        return self._binary is not None

    def caller_of(self, head: Head, verify: Verify | None, *, trusted: bool) -> Peer | None:
        """As `caller`, from a whole head."""
        token = head.get(b"meristem-token")
        return self.caller(None if token is None else token.decode("latin-1"), verify, trusted=trusted)

    def caller(self, token: str | None, verify: Verify | None, *, trusted: bool) -> Peer | None:
        """Who in the system calls, None for a call from outside; raises CallError for one that may not be made."""
        found = verify(token) if token is not None and verify is not None else None
        if found is None and not self.public and not (trusted and verify is None):
            raise _not_public(self.operation, token)
        return found

    def read_exact(self, body: bytes) -> Any:
        """The request message of Meristem's own client; raises CallError `invalid_argument` that names the field."""
        try:
            return self._exact(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error) from None

    def written(self, head: Head, reply: Any) -> tuple[str, bytes]:
        """The reply in the encoding that the request came in: its media type and bytes."""
        if self._binary is not None and head.get(b"content-type", b"").endswith(b"proto"):
            return "application/proto", self._binary().write_reply(self.operation, reply)
        out = self.write(reply)
        if b"connect-protocol-version" in head and self._schema is not None:
            out = self._schema().reply_json(self.operation, out)
        return "application/json", out

    def decompressed(self, head: Head, body: bytes) -> bytes:
        """The body as it was before `content-encoding`; bounded, so that a small bomb stays small."""
        encoding = head.get(b"content-encoding", b"identity")
        if encoding == b"identity":
            return body
        if encoding != b"gzip":
            found = encoding.decode("latin-1")
            raise _refused(Code.UNIMPLEMENTED, f"content-encoding {found!r} is not supported; use gzip or identity")
        return gunzip(body, self.body_limit)


def gunzip(body: bytes, limit: int) -> bytes:
    """Decompress at most `limit` bytes; raises CallError for more, and for what is no gzip."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limit)
    except zlib.error:
        raise _refused(Code.INVALID_ARGUMENT, "the body is not the gzip that content-encoding promises") from None
    if inflater.unconsumed_tail:
        raise too_large(limit)
    if not inflater.eof:
        raise _refused(Code.INVALID_ARGUMENT, "the gzip body ends too early")
    return plain


def compressed(accepted: bytes, body: bytes) -> bytes | None:
    """The body as gzip where the client accepts that and it pays; None to send it as it is."""
    if b"gzip" not in accepted or len(body) < MIN_COMPRESSED:
        return None
    return gzip.compress(body, compresslevel=4, mtime=0)


def too_large(limit: int) -> CallError:
    """The refusal of a request above the limit."""
    return _refused(
        Code.RESOURCE_EXHAUSTED, f"the request is larger than {limit} bytes; raise `body_bytes` of [server]"
    )


def _refused(code: Code, message: str) -> CallError:
    return CallError(code, message, may_have_happened=False)


def _not_public(operation: Operation, token: str | None) -> CallError:
    if token is None:
        message = (
            f"{operation.label} is internal: call it from a service of the system, which sends a meristem-token, "
            "or publish it with http=… in its contract"
        )
    else:
        message = f"{operation.label} is internal and the meristem-token is not valid here: expired or another secret"
    return _refused(Code.PERMISSION_DENIED, message)
