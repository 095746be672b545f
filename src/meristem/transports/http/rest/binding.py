"""Binds a REST request to the message of its operation: path, query and JSON body become fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from meristem.contracts.codec import audit, refusal, violation
from meristem.contracts.depth import TooDeepError
from meristem.contracts.plainjson import from_text, plain
from meristem.contracts.rest_fields import raw_media, rest_fields, upload_of
from meristem.contracts.wiretypes import COLLECTIONS, fields_of, is_union, unwrap
from meristem.errors import CallError, Code, FieldViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from meristem.contracts.operation import Http, Operation
    from meristem.transports.metadata import Metadata

MAX_QUERY_FIELDS: Final = 1000
EMPTY_BODY: Final = b"{}"
NO_FIELDS: Final[Metadata] = {}


class Binder:
    """Makes the request of one operation. A repeated query parameter fills a list.

    `media` is the type of body that it takes as it comes, or a range of types; None where that is JSON. `upload` tells
    how a body is a stream of items.
    """

    def __init__(self, operation: Operation, http: Http) -> None:
        places = rest_fields(operation.request, http.verb, http.path)
        fields = fields_of(operation.request)
        texts = (*places.path, *places.query, *places.header.values())
        self._request = operation.request
        self._audited = audit(operation.request)
        self._read = {each.name: from_text(each.type) for each in texts}
        self._lists = {each.name for each in texts if is_list(each.type)}
        self._required = [each.name for each in fields if each.required]
        self._path = [each.name for each in places.path]
        self._query = {each.encode_name: each.name for each in places.query}
        self._header = [(name.encode(), each.name) for name, each in places.header.items()]
        self._client = [each.name for each in places.client]
        self._whole = places.whole
        self.takes_body = bool(places.body or places.whole)
        self.asks_client = bool(self._client)
        self.upload = upload_of(operation.request) if operation.takes_stream else None
        self.media = None if places.whole is None else raw_media(places.whole)
        # All fields in the body, as most have it: then its reader makes the request.
        self._alone = len(places.body) == len(fields) > 0
        if places.whole is not None:
            self._body = _raw(places.whole) if self.media is not None else plain(places.whole.type)
        elif places.body:
            self._body = plain(operation.request if self._alone else _part(operation.request, places.body))

    def bind(
        self, placeholders: Sequence[str], query: bytes, body: bytes, head: Metadata = NO_FIELDS, client: str = ""
    ) -> Any:
        """The request; raises CallError `invalid_argument` that names each field that does not fit."""
        if self._alone:
            return self._body(body.strip() or EMPTY_BODY)
        values = self.beside(placeholders, query, head, client)
        if self.takes_body:
            values |= self._from_body(body)
        return self._made(values)

    def beside(self, placeholders: Sequence[str], query: bytes, head: Metadata, client: str) -> dict[str, Any]:
        """The values of the fields that are none of the body; raises CallError that names each that does not fit."""
        values, wrong = {}, []
        given: list[tuple[str, str, Any]] = [
            *((name, name, text) for name, text in zip(self._path, placeholders, strict=True)),
            *((name, name, text) for name, text in self._from_query(query)),
            *((name, spelled, text) for name, spelled, text in self._from_header(head)),
        ]
        for name, spelled, text in given:
            try:
                # A field of the head that is no UTF-8 is no text; those of the target have been decoded.
                values[name] = self._read[name](text.decode() if isinstance(text, bytes) else text)
            except (RecursionError, TooDeepError) as error:
                raise refusal(error) from None
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                found = violation(error)
                wrong.append(FieldViolation(f"{spelled}.{found.field}".rstrip("."), found.reason))
        if wrong:
            raise _refusal(wrong)
        return values | dict.fromkeys(self._client, client)

    def _from_body(self, body: bytes) -> dict[str, Any]:
        if self._whole is None:
            read = self._body(body.strip() or EMPTY_BODY)
            # No body can name what stands elsewhere: it is read by `_part`, which has only the other fields.
            return {name: getattr(read, name) for name in read.__struct_fields__}
        if not body and (self.media is None or not self._whole.required):
            return {}  # its default, or it is missing; raw, an empty body is one, too
        return {self._whole.name: self._body(body)}

    def _made(self, values: dict[str, Any]) -> Any:
        self.check_whole(values)
        try:
            return self._audited(self._request(**values))
        except (ValueError, TypeError, TooDeepError) as error:  # a message's own __post_init__
            raise refusal(error) from None

    def check_whole(self, values: Collection[str], *, without: str = "") -> None:
        """Raises CallError that names the required fields that are missing; the one `without` comes in another way."""
        missing = [name for name in self._required if name not in values and name != without]
        if missing:
            spelled = {name: header.decode() for header, name in self._header}
            raise _refusal([FieldViolation(spelled.get(name, name), "is required") for name in missing])

    def _from_header(self, head: Metadata) -> Iterator[tuple[str, str, bytes]]:
        for header, name in self._header:
            if (value := head.get(header)) is not None:
                yield name, header.decode(), value

    def _from_query(self, query: bytes) -> list[tuple[str, Any]]:
        if not query or not self._query:
            return []
        try:
            # Bounded before they are split: millions of `&` would hold the event loop.
            text = query.decode("latin-1")
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS, errors="strict")
        except ValueError as error:
            raise CallError(Code.INVALID_ARGUMENT, f"the query: {error}", may_have_happened=False) from None
        several: dict[str, list[str]] = {}
        for key, text in pairs:
            if (name := self._query.get(key)) is not None:
                several.setdefault(name, []).append(text)
        repeated = [name for name, texts in several.items() if len(texts) > 1 and name not in self._lists]
        if repeated:
            raise _refusal([FieldViolation(name, "is given more than once") for name in repeated])
        return [(name, texts if name in self._lists else texts[0]) for name, texts in several.items()]


def is_list(type_: Any) -> bool:
    """Whether the type, or what it is besides None, is a collection of values."""
    type_ = unwrap(type_)
    if is_union(type_):
        return any(is_list(each) for each in get_args(type_))
    return get_origin(type_) in COLLECTIONS


def _raw(field: msgspec.structs.FieldInfo) -> Callable[[bytes], Any]:
    """Reads a body that is taken as it was sent."""
    audited = audit(field.type)

    def read(body: bytes) -> Any:
        try:
            return audited(msgspec.convert(body if _holds_bytes(field.type) else body.decode(), field.type))
        except (msgspec.ValidationError, UnicodeDecodeError) as error:
            raise _refusal([FieldViolation(field.name, violation(error).reason)]) from None

    return read


def _holds_bytes(type_: Any) -> bool:
    known = unwrap(type_)
    return known is bytes or (is_union(known) and bytes in map(unwrap, get_args(known)))


def _part(request: type, fields: Sequence[msgspec.structs.FieldInfo]) -> type:
    parts: list[Any] = []
    for each in fields:
        if each.default_factory is not msgspec.NODEFAULT:
            field = msgspec.field(default_factory=each.default_factory, name=each.encode_name)
            parts.append((each.name, each.type, field))
        elif each.default is not msgspec.NODEFAULT:
            parts.append((each.name, each.type, msgspec.field(default=each.default, name=each.encode_name)))
        else:
            parts.append((each.name, each.type, msgspec.field(name=each.encode_name)))
    return msgspec.defstruct(f"{request.__name__}Body", parts, kw_only=True, module=request.__module__)


def _refusal(wrong: list[FieldViolation]) -> CallError:
    message = "; ".join(f"{each.field}: {each.reason}" for each in wrong)
    return CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False, violations=tuple(wrong))
