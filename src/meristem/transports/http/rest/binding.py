"""Binds a REST request to the message of its operation: path, query and JSON body become fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from meristem.contracts.codec import audit, refusal, violation
from meristem.contracts.contract import PLACEHOLDER
from meristem.contracts.depth import TooDeepError
from meristem.contracts.plainjson import from_text, plain
from meristem.contracts.wiretypes import COLLECTIONS, fields_of, is_union, unwrap
from meristem.errors import CallError, Code, FieldViolation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.contracts.operation import Http, Operation

WITH_BODY: Final = ("POST", "PUT", "PATCH")
MAX_QUERY_FIELDS: Final = 1000
EMPTY_BODY: Final = b"{}"


class Binder:
    """Makes the request of one operation. A repeated query parameter fills a list."""

    def __init__(self, operation: Operation, http: Http) -> None:
        fields = fields_of(operation.request)
        self._request = operation.request
        self._audited = audit(operation.request)
        self._read = {each.name: from_text(each.type) for each in fields}
        self._lists = {each.name for each in fields if is_list(each.type)}
        self._required = [each.name for each in fields if each.required]
        self._path: list[str] = PLACEHOLDER.findall(http.path)
        self.takes_body = http.verb in WITH_BODY and set(self._read) != set(self._path)
        others = [each for each in fields if each.name not in self._path]
        self._query = {} if http.verb in WITH_BODY else {each.encode_name: each.name for each in others}
        if self.takes_body:
            whole = operation.request if not self._path else _part(operation.request, others)
            self._body = plain(whole)

    def bind(self, placeholders: Sequence[str], query: bytes, body: bytes) -> Any:
        """The request; raises CallError `invalid_argument` that names each field that does not fit."""
        if self.takes_body and not self._path:
            return self._body(body.strip() or EMPTY_BODY)
        values, wrong = {}, []
        given: list[tuple[str, Any]] = [*zip(self._path, placeholders, strict=True), *self._from_query(query)]
        for name, text in given:
            try:
                values[name] = self._read[name](text)
            except (RecursionError, TooDeepError) as error:
                raise refusal(error) from None
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                found = violation(error)
                wrong.append(FieldViolation(f"{name}.{found.field}".rstrip("."), found.reason))
        if wrong:
            raise _refusal(wrong)
        if self.takes_body:
            read = self._body(body.strip() or EMPTY_BODY)
            # No body can name what stands in the path: it is read by `_part`, which has only the other fields.
            values = {name: getattr(read, name) for name in read.__struct_fields__} | values
        return self._made(values)

    def _made(self, values: dict[str, Any]) -> Any:
        missing = [name for name in self._required if name not in values]
        if missing:
            raise _refusal([FieldViolation(name, "is required") for name in missing])
        try:
            return self._audited(self._request(**values))
        except (ValueError, TypeError, TooDeepError) as error:  # a message's own __post_init__
            raise refusal(error) from None

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


def _part(request: type, fields: list[msgspec.structs.FieldInfo]) -> type:
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
