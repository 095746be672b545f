"""Where operations stand in REST: `http="GET /notes/{note_id}"`, read and checked when the contract is defined."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast, get_args, get_origin

from meristem.contracts.operation import Declaration, Http, Semantics, Verb
from meristem.contracts.rest_fields import (
    FORM,
    PLACEHOLDER,
    WITH_BODY,
    Body,
    ClientAddress,
    Header,
    Query,
    RestFields,
    is_raw,
    place_in,
    places_in,
    rest_fields,
    upload_of,
)
from meristem.contracts.wiretypes import COLLECTIONS, fields_of, is_union, peel, struct_of, unwrap
from meristem.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation

VERBS: Final[tuple[str, ...]] = get_args(Verb)
JSON: Final = "application/json"
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NAME: Final = r"[a-z0-9][a-z0-9!#$&^_.+-]*"  # RFC 6838, section 4.2
MEDIA: Final = re.compile(rf"{NAME}/{NAME}(; ?[\w-]+=[\w.+-]+)*", re.ASCII | re.IGNORECASE)
RANGE: Final = re.compile(rf"\*/\*|{NAME}/(\*|{NAME})")
CHARSET: Final = re.compile(r"charset=(?!utf-?8\b)", re.IGNORECASE)
FRAMING: Final = "it frames the request, and is the server's"
SPOKEN_FOR: Final = {
    **dict.fromkeys(("connection", "content-length", "expect", "keep-alive", "te", "trailer"), FRAMING),
    **dict.fromkeys(("transfer-encoding", "upgrade", "content-encoding"), FRAMING),
    **dict.fromkeys(("traceparent", "tracestate", "baggage"), "the context of the call has it"),
    "authorization": "who signs in is told by System(authenticate=…), and is current().user",
    "idempotency-key": "the context of the call has it: current().key",
}
"""Header fields that mean something already, and where that is found."""

EXAMPLE: Final = 'http="GET /notes/{note_id}"'


def place_of(declaration: Declaration, request: Any, reply: Any, *, takes_stream: bool = False) -> Http | None:
    """Where a declared operation stands in REST; raises ContractError where its text says no place.

    The `request` of one that `takes_stream` is an item.
    """
    if declaration.http is None:
        told = (("status", declaration.status), ("media", declaration.media), ("cache", declaration.cache))
        for name, given in told:
            if given is not None:
                raise ContractError(f"{name}={given!r} is for an operation in REST: write http= beside it")
        return None
    verb, path = _words(declaration.http)
    _refuse(
        declaration,
        _path(path)
        or _placeholders(path, [each.name for each in fields_of(request)])
        or _semantics(verb, path, declaration.semantics)
        or (_items(verb, path, request) if takes_stream else None)
        or _marks(verb, path, request),
    )
    fields = rest_fields(request, verb, path)
    _refuse(declaration, _texts(verb, path, fields) or _alone(declaration, fields) or _answer(declaration, reply))
    if declaration.cache is not None and verb != "GET":
        raise ContractError(f"cache= is for what is read with GET, not {verb}: drop it")
    return Http(
        verb, path, declaration.status or 200, declaration.media or JSON, bool(fields.client), declaration.cache
    )


def _refuse(declaration: Declaration, problem: str | None) -> None:
    """Raises ContractError where there is a problem."""
    if problem is not None:
        raise ContractError(f"http={declaration.http!r}: {problem}")


def check_apart(operations: Iterable[Operation]) -> None:
    """Raises ContractError for two operations of a contract at one place."""
    taken: dict[tuple[str, str], Operation] = {}
    for operation in operations:
        if (http := operation.http) is None:
            continue
        # Without their names: `/rooms/{id}` and `/rooms/{room}` are one path to who looks for it.
        other = taken.setdefault((http.verb, PLACEHOLDER.sub("{}", http.path)), operation)
        if other is not operation:
            place = f"{http.verb} {http.path}"
            raise ContractError(f"{operation.label}: {place} is already {other.label}; give one another path")


def _words(http: Any) -> tuple[Verb, str]:
    if not isinstance(http, str):
        raise ContractError(f"http={http!r} must be text: write {EXAMPLE}")
    verb, _, path = http.partition(" ")
    if verb.startswith("/"):
        raise ContractError(f"http={http!r} does not say the method: write {EXAMPLE}")
    if verb in ("HEAD", "OPTIONS"):
        raise ContractError(f"http={http!r}: {verb} is answered without being declared; write {_one_of(VERBS)}")
    if verb not in VERBS:
        meant = f"write {verb.upper()}" if verb.upper() in VERBS else f"write {_one_of(VERBS)}"
        raise ContractError(f"http={http!r}: {verb!r} is no method of HTTP here; {meant}, as in {EXAMPLE}")
    if not path:
        raise ContractError(f"http={http!r} has no path: write {EXAMPLE}")
    return cast("Verb", verb), path


def _one_of(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"


def _path(path: str) -> str | None:
    """What is wrong with the text of a path."""
    if not path.startswith("/"):
        return f"its path {path!r} must begin with '/', after one space"
    if any(each.isspace() for each in path):
        return "its path must be without spaces"
    if "?" in path or "#" in path:
        return "its path ends before '?': a parameter that is not in the path comes from the query or the body"
    if path != "/" and path.endswith("/"):
        return "its path must not end with '/'; requests may"
    return None


def _placeholders(path: str, names: list[str]) -> str | None:
    """What is wrong with the placeholders of a path, given the names of the request's fields."""
    placeholders: list[str] = PLACEHOLDER.findall(path)
    strange = re.search(r"{[^{}]*}?|}", PLACEHOLDER.sub("", path))
    if strange is not None:
        return f"{strange[0]!r} is no placeholder: write {{name}}, and the parameter of that name says its type"
    for each in placeholders:
        if each not in names:
            return f"{{{each}}} is none of its parameters: {', '.join(names) or '(none)'}"
        if placeholders.count(each) > 1:
            return f"{{{each}}} stands in it twice"
    if "}{" in path:
        return "write something between its placeholders to tell them apart"
    return None


def _semantics(verb: Verb, path: str, semantics: Semantics) -> str | None:
    """What HTTP promises of a method and the operation does not."""
    # RFC 9110, section 9.2.1: caches, crawlers and proxies send a GET as often as they like.
    if verb == "GET" and semantics is not Semantics.SAFE:
        return f'GET may be repeated and cached by anyone: declare it @safe, or write "POST {path}"'
    if verb in ("PUT", "PATCH", "DELETE") and semantics is Semantics.SAFE:
        return f'{verb} asks for a change, and @safe says that there is none: write "GET {path}", or "POST {path}"'
    # Section 9.2.2: a client that has lost the connection sends a PUT or a DELETE again by itself.
    if verb in ("PUT", "DELETE") and not semantics.repeatable:
        return f'{verb} may be repeated by anyone: declare it @idempotent or @once, or write "POST {path}"'
    return None


def _marks(verb: Verb, path: str, request: Any) -> str | None:
    """What is wrong with the places that annotations give to parameters."""
    in_path = PLACEHOLDER.findall(path)
    for each in fields_of(request):
        for said in peel(each.type)[1]:
            if said in (Header, Query, Body, ClientAddress):
                return f"{each.name!r}: {said.__name__} stands there without brackets: write {said.__name__}(…)"
    marked = {each.name: places for each in fields_of(request) if (places := places_in(each.type))}
    for name, places in marked.items():
        others = [*(["the path"] if name in in_path else ()), *(f"{type(each).__name__}(…)" for each in places[1:])]
        if others:
            return f"{name!r} can't come from {type(places[0]).__name__}(…) and from {others[0]}; keep one"
    headers = {name: places[0].name for name, places in marked.items() if isinstance(places[0], Header)}
    bodies = [name for name, places in marked.items() if isinstance(places[0], Body)]
    if len(bodies) > 1:
        return f"{bodies[0]!r} and {bodies[1]!r} can't both be the whole body; put them into one message"
    if bodies and verb not in WITH_BODY:
        return f'{verb} has no body, which {bodies[0]!r} is to be: write "POST {path}"'
    return _headers(headers) or _types(request)


def _items(verb: Verb, path: str, item: Any) -> str | None:
    """What is wrong with a stream of items as a body."""
    if verb not in WITH_BODY:
        return f'{verb} has no body that could be a stream of items: write "POST {path}"'
    if upload_of(item) is None:
        return (
            "a stream comes as a body where its items are bytes, FilePart (a form), or a message that has one of them "
            "as Body() beside what comes from path, query and header; take a list, or drop http= and call it by RPC"
        )
    return None


def _headers(names: dict[str, str]) -> str | None:
    """What is wrong with the header fields that parameters are to come from."""
    taken: dict[str, str] = {}
    for parameter, name in names.items():
        lower = name.lower()
        if TOKEN.fullmatch(name) is None:
            return f"{parameter!r}: {name!r} is no name of a header field (RFC 9110, section 5.1)"
        instead = "it is of the system itself" if lower.startswith("meristem-") else SPOKEN_FOR.get(lower)
        if instead is not None:
            return f"{parameter!r} can't come from the header {name!r}: {instead}"
        if taken.setdefault(lower, parameter) != parameter:
            return f"{taken[lower]!r} and {parameter!r} can't both come from the header {name!r}"
    return None


def _types(request: Any) -> str | None:
    """What is wrong with the types of parameters for the places that annotations give to them."""
    for each in fields_of(request):
        place = place_in(each.type)
        if isinstance(place, Body) and place.media and not is_raw(each.type):
            return f"{each.name!r}: Body({place.media!r}) is for bytes or str; anything else is read from {JSON}"
        if isinstance(place, Body) and place.media == FORM:
            return f"{each.name!r}: a form is parts and not bytes: take AsyncIterator[FilePart]"
        if isinstance(place, Body) and place.media and RANGE.fullmatch(place.media) is None:
            return f'{each.name!r}: {place.media!r} is no media type in small letters; write one: Body("image/png")'
        if isinstance(place, ClientAddress) and unwrap(each.type) is not str:
            return f"{each.name!r} is the client's address, which is a str"
    return None


def _texts(verb: Verb, path: str, fields: RestFields) -> str | None:
    """What is wrong with the parameters that come as text: from path, header or query."""
    for each in fields.path:
        if not _is_text(each.type):
            return f"{{{each.name}}} is a part of the path, so its type must be a plain value"
    for name, each in fields.header.items():
        if not _is_text(each.type):
            return f"{each.name!r} comes from the header {name!r}, so its type must be a plain value"
    for each in fields.query:
        if _is_text(each.type, many=True):
            continue
        if verb in WITH_BODY:
            return f"{each.name!r} comes from the query, so it must be a plain value or a list of them"
        return (
            f"{verb} has no body, and {each.name!r} does not fit into the query: "
            f'give it as parameters that are plain values or lists of them, or write "POST {path}"'
        )
    return None


def _alone(declaration: Declaration, fields: RestFields) -> str | None:
    """What is wrong with who may call by RPC."""
    told = fields.client
    if told and declaration.public:
        return f"public=True lets anybody give {told[0].name!r} by RPC, which only REST can find out: drop public=True"
    return None


def _is_text(type_: Any, *, many: bool = False) -> bool:
    """Whether values of the type can be read from one text, or with `many` from several."""
    known = unwrap(type_)
    if is_union(known):
        return all(_is_text(each, many=many) for each in get_args(known))
    if get_origin(known) in COLLECTIONS:
        return many and all(_is_text(each) for each in get_args(known) if each is not Ellipsis)
    return get_origin(known) is not dict and struct_of(known) is None


def _answer(declaration: Declaration, reply: Any) -> str | None:
    """What is wrong with how the operation is to be answered."""
    status, media = declaration.status, declaration.media
    if status is not None and not (type(status) is int and 200 <= status <= 299):
        return f"status={status!r} must be one of success, 200 to 299; a Fault has a status of its own"
    if status in (204, 205) and reply not in (None, type(None)):
        return f"status={status} has no body (RFC 9110, section 15.3): the operation must return None"
    if media is not None and not _is_file(reply):
        return f"media={media!r} is for an operation that returns bytes or str; others answer in {JSON}"
    if media is not None and MEDIA.fullmatch(media) is None:
        return f'media={media!r} is no media type: write one as in media="text/csv"'
    if media is not None and CHARSET.search(media) and unwrap(reply) is str:
        return f"media={media!r}: text is sent in UTF-8: leave the charset out, or return bytes"
    return None


def _is_file(reply: Any) -> bool:
    known = unwrap(reply)
    return all(map(_is_file, get_args(known))) if is_union(known) else known in (bytes, str, type(None))
