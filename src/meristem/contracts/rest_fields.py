"""Where in a REST request the fields of a message stand: path, query, header, body, or the connection itself."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, TypeAlias, get_args

import msgspec

from meristem.contracts.file_part import FilePart
from meristem.contracts.wiretypes import fields_of, is_union, peel, struct_of, unwrap

PLACEHOLDER: Final = re.compile(r"{(\w+)}")
WITH_BODY: Final = ("POST", "PUT", "PATCH")
ANYTHING: Final = "*/*"
FORM: Final = "multipart/form-data"


class Header(msgspec.Struct, frozen=True):
    """A parameter that REST takes from a header field: `signature: Annotated[str, Header("x-signature")]`.

    Upper and lower case are one. A field that is sent twice is one value with a comma (RFC 9110, section 5.3). By RPC,
    and in one process, it is a parameter like any other.
    """

    name: str


class Query(msgspec.Struct, frozen=True):
    """A parameter that REST takes from the query beside a body: `dry_run: Annotated[bool, Query()] = False`."""


class Body(msgspec.Struct, frozen=True):
    """A parameter that is the whole body in REST: `books: Annotated[list[Book], Body()]`.

    Those beside it come from path, query and header. One of type bytes or str is the body as it was sent, of any media
    type or of `media` (`"image/png"`, `"image/*"`); anything else is read from JSON.
    """

    media: str = ""


class ClientAddress(msgspec.Struct, frozen=True):
    """A parameter that is the address of who sends a REST request: `sender: Annotated[str, ClientAddress()]`.

    It is that of the client at the first of the trusted proxies (`[server] trusted_proxies`), and empty on a Unix
    socket. Nobody outside can give it: from there such an operation is called by REST alone.
    """


Place: TypeAlias = Header | Query | Body | ClientAddress


class RestFields(NamedTuple):
    """The fields of a request by where they stand.

    `path` is in the order of the placeholders. `header` is by name in lower case. `whole` is the field that is the
    whole body, else the fields of `body` are those of the JSON object that it is. `client` are those that hold the
    client's address.
    """

    path: tuple[msgspec.structs.FieldInfo, ...]
    query: tuple[msgspec.structs.FieldInfo, ...]
    header: dict[str, msgspec.structs.FieldInfo]
    body: tuple[msgspec.structs.FieldInfo, ...]
    whole: msgspec.structs.FieldInfo | None
    client: tuple[msgspec.structs.FieldInfo, ...]

    def place_of(self, name: str) -> str:
        """From where the field of a name comes, as people say it."""
        for at, field in enumerate(self.path, 1):
            if field.name == name:
                return f"path, place {at}"
        for spelled, field in self.header.items():
            if field.name == name:
                return f"header {spelled}"
        if self.whole is not None and self.whole.name == name:
            return "whole body"
        kinds = {"query": self.query, "body": self.body, "address of the client": self.client}
        return next(place for place, fields in kinds.items() if any(each.name == name for each in fields))


def rest_fields(request: Any, verb: str, path: str) -> RestFields:
    """Where the fields of a request stand for a verb and a path whose soundness is known."""
    known = {each.name: each for each in fields_of(request)}
    in_path = tuple(known.pop(name) for name in PLACEHOLDER.findall(path))
    placed = {name: place_in(field.type) for name, field in known.items()}

    def of(*kinds: type[Place | None]) -> tuple[msgspec.structs.FieldInfo, ...]:
        return tuple(known[name] for name, place in placed.items() if isinstance(place, kinds))

    whole = next(iter(of(Body)), None)
    # Beside a body that is one of the parameters, and without a body, the query takes what nothing was said of.
    has_object = whole is None and verb in WITH_BODY
    in_query = of(Query) if has_object else of(Query, type(None))
    in_body = of(type(None)) if has_object else ()
    header = {place.name.lower(): known[name] for name, place in placed.items() if isinstance(place, Header)}
    return RestFields(in_path, in_query, header, in_body, whole, of(ClientAddress))


class UploadForm(NamedTuple):
    """How the body of a request is a stream of items: `field` of each holds a piece of it.

    An item without such a field is a `FilePart` itself. `media` is the type of the body, or a range of types.
    """

    field: msgspec.structs.FieldInfo | None
    media: str


def upload_of(request: Any) -> UploadForm | None:
    """How items of a type come as a body: a form, or bytes as they are sent; None for others."""
    if struct_of(request) is FilePart:
        return UploadForm(None, FORM)
    fields = fields_of(request)
    pieces = [each for each in fields if isinstance(place_in(each.type), Body)]
    if not pieces and len(fields) == 1 and place_in(fields[0].type) is None:
        pieces = list(fields)  # the items of AsyncIterator[bytes]
    if len(pieces) != 1:
        return None
    if struct_of(pieces[0].type) is FilePart:
        return UploadForm(pieces[0], FORM)
    return UploadForm(pieces[0], raw_media(pieces[0]) or ANYTHING) if unwrap(pieces[0].type) is bytes else None


def place_in(type_: Any) -> Place | None:
    """What the annotation of a field says of its place in REST."""
    return next(iter(places_in(type_)), None)


def places_in(type_: Any) -> list[Place]:
    """All that the annotation of a field says of its place in REST; more than one contradict each other."""
    return [each for each in peel(type_)[1] if isinstance(each, Place)]


def raw_media(field: msgspec.structs.FieldInfo) -> str | None:
    """The media type, or range of them, of a whole body that is taken as it was sent; None for one that is JSON."""
    place = place_in(field.type)
    written = place.media if isinstance(place, Body) else ""
    return written or ANYTHING if is_raw(field.type) else None


def is_raw(type_: Any) -> bool:
    """Whether values of the type are bytes or text as they are."""
    known = unwrap(type_)
    if is_union(known):
        return all(is_raw(each) for each in get_args(known) if each is not type(None))
    return known in (bytes, str)
