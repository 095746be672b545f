"""Where an operation stands in REST is one text, which is refused with method, reason and remedy when it is wrong."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Protocol

import pytest
from msgspec import Meta

from meristem import Contract, ContractError, Message, idempotent, once, operation, safe
from meristem.contracts.contract import operations
from meristem.contracts.operation import Http
from meristem.rest import Body, ClientAddress, Header, Query


class Note(Message):
    note_id: str
    text: str = ""


class Notes(Contract, Protocol, package="notes.v1"):
    @safe(http="GET /notes/{note_id}")
    async def read(self, note_id: str) -> Note: ...

    @once(http="POST /notes", status=201)
    async def add(self, note: Note) -> Note: ...

    @idempotent(http="PUT /notes/{note_id}")
    async def write(self, note: Note) -> None: ...

    @once(http="PATCH /notes/{note_id}")
    async def correct(self, note: Note) -> Note: ...

    @idempotent(http="DELETE /notes/{note_id}", status=202)
    async def remove(self, note_id: str) -> None: ...

    @safe(http="GET /notes/{note_id}/{page}.pdf", media="application/pdf")
    async def scan(self, note_id: str, page: Annotated[int, Meta(ge=1)]) -> bytes | None: ...

    @safe(http="GET /")
    def watch(self) -> AsyncIterator[Note]: ...

    @operation
    async def within(self) -> None: ...


def test_a_place_is_a_method_and_a_path_and_how_it_is_answered_stands_beside_it():
    assert {name: each.http for name, each in operations(Notes).items()} == {
        "read": Http("GET", "/notes/{note_id}"),
        "add": Http("POST", "/notes", 201),
        "write": Http("PUT", "/notes/{note_id}"),
        "correct": Http("PATCH", "/notes/{note_id}"),
        "remove": Http("DELETE", "/notes/{note_id}", 202),
        "scan": Http("GET", "/notes/{note_id}/{page}.pdf", 200, "application/pdf"),
        "watch": Http("GET", "/"),
        "within": None,
    }


def define(**methods: Any) -> Any:
    return type(Contract)("Broken", (Contract, Protocol), {**methods, "__module__": __name__}, package="broken.v1")


async def one(self, x: str) -> str: ...
async def none(self) -> None: ...
async def number(self, x: str) -> int: ...
async def several(self, x: list[str], note: Note) -> None: ...
async def mapped(self, x: tuple[int, ...], note: dict[str, int] | None = None) -> None: ...
async def nested(self, x: frozenset[str], note: list[list[int]]) -> None: ...


async def marked(self, x: Annotated[str, Header("x-one")], y: Annotated[list[Note], Body()]) -> None: ...
async def twice(self, x: Annotated[Note, Body()], y: Annotated[str, Body()]) -> None: ...
async def both(self, x: Annotated[str, Header("a"), Query()]) -> None: ...
async def typed(self, x: Annotated[list[Note], Body("image/png")]) -> None: ...
async def message(self, x: Annotated[Note, Header("x")]) -> None: ...
async def same(self, x: Annotated[str, Header("A")], y: Annotated[str, Header("a")]) -> None: ...
async def odd(self, x: Annotated[str, Header("a b")]) -> None: ...
async def token(self, x: Annotated[str, Header("Authorization")]) -> None: ...
async def length(self, x: Annotated[str, Header("content-length")]) -> None: ...
async def own(self, x: Annotated[str, Header("Meristem-Token")]) -> None: ...
async def listed(self, x: Annotated[list[str], Header("x")]) -> None: ...
async def beside(self, x: Annotated[bytes, Body()], note: Note) -> None: ...
async def address(self, x: Annotated[int, ClientAddress()]) -> None: ...
async def sender(self, x: Annotated[str, ClientAddress()]) -> None: ...
async def kindless(self, x: Annotated[bytes, Body("png")]) -> None: ...
async def capital(self, x: Annotated[bytes, Body("Image/PNG")]) -> None: ...
async def half(self, x: Annotated[bytes, Body("*/png")]) -> None: ...
async def form(self, x: Annotated[bytes, Body("multipart/form-data")]) -> None: ...
async def bare(self, x: Annotated[bytes, Body]) -> None: ...
async def uploads(self, x: AsyncIterator[bytes]) -> None: ...
async def notes(self, x: AsyncIterator[Note]) -> None: ...
def echo(self, x: AsyncIterator[bytes]) -> AsyncIterator[bytes]: ...


WRONG = [
    (safe, marked, "'x' has a place in REST, and the method none: write http= beside it"),
    (operation(http="POST /{x}"), marked, "'x' can't come from Header(…) and from the path; keep one"),
    (operation(http="POST /x"), both, "'x' can't come from Header(…) and from Query(…); keep one"),
    (operation(http="POST /x"), twice, "'x' and 'y' can't both be the whole body; put them into one message"),
    (safe(http="GET /x"), marked, "GET has no body, which 'y' is to be: write \"POST /x\""),
    (operation(http="POST /x"), typed, "'x': Body('image/png') is for bytes or str; anything else is read from"),
    (operation(http="POST /x"), message, "'x' is a message: its fields have the places, 'x' is their body"),
    (operation(http="POST /x"), same, "'x' and 'y' can't both come from the header 'a'"),
    (operation(http="POST /x"), odd, "'x': 'a b' is no name of a header field"),
    (operation(http="POST /x"), token, "'Authorization': who signs in is told by System(authenticate=…)"),
    (operation(http="POST /x"), length, "'content-length': it frames the request"),
    (operation(http="POST /x"), own, "'Meristem-Token': it is of the system itself"),
    (operation(http="POST /x"), listed, "'x' comes from the header 'x', so its type must be a plain value"),
    (operation(http="POST /x"), beside, "'note' comes from the query, so it must be a plain value or a list of them"),
    (operation(http="POST /x"), address, "'x' is the client's address, which is a str"),
    (operation(http="POST /x", public=True), sender, "public=True lets anybody give 'x' by RPC"),
    (safe(http="GET /x"), uploads, 'GET has no body that could be a stream of items: write "POST /x"'),
    (operation(http="POST /x"), notes, "a stream comes as a body where its items are bytes, FilePart (a form), or a"),
    (operation(http="POST /x"), echo, "both sides stream, which HTTP/1.1 has no way for"),
    (safe(http=3), one, "http=3 must be text: write http="),  # type: ignore[arg-type]
    (safe(http="/x"), one, "http='/x' does not say the method: write http=\"GET /notes/{note_id}\""),
    (safe(http="get /x"), one, "'get' is no method of HTTP here; write GET"),
    (safe(http="FETCH /x"), one, "'FETCH' is no method of HTTP here; write GET, POST, PUT, PATCH or DELETE"),
    (safe(http="GET:/x"), one, "'GET:/x' is no method of HTTP here"),
    (safe(http=""), one, "'' is no method"),
    (safe(http="HEAD /x"), one, "HEAD is answered without being declared"),
    (safe(http="OPTIONS /x"), one, "OPTIONS is answered without being declared"),
    (safe(http="GET"), one, "http='GET' has no path"),
    (safe(http="GET x"), one, "its path 'x' must begin with '/'"),
    (safe(http="GET  /x"), one, "its path ' /x' must begin with '/', after one space"),
    (safe(http="GET /a b"), one, "must be without spaces"),
    (safe(http="GET /x?x={x}"), one, "ends before '?'"),
    (safe(http="GET /x/"), one, "must not end with '/'; requests may"),
    (safe(http="GET /{y}"), one, "{y} is none of its parameters: x"),
    (safe(http="GET /{y}"), none, "{y} is none of its parameters: (none)"),
    (safe(http="GET /{x}/{x}"), one, "{x} stands in it twice"),
    (safe(http="GET /{x:path}"), one, "'{x:path}' is no placeholder: write {name}"),
    (safe(http="GET /{}"), one, "'{}' is no placeholder"),
    (safe(http="GET /{x"), one, "'{x' is no placeholder"),
    (safe(http="GET /x}"), one, "'}' is no placeholder"),
    (once(http="GET /x"), one, 'GET may be repeated and cached by anyone: declare it @safe, or write "POST /x"'),
    (operation(http="GET /x"), one, "declare it @safe"),
    (safe(http="PUT /x"), one, "PUT asks for a change, and @safe says that there is none"),
    (safe(http="PATCH /x"), one, "PATCH asks for a change"),
    (safe(http="DELETE /x"), one, "DELETE asks for a change"),
    (operation(http="PUT /x"), one, "PUT may be repeated by anyone: declare it @idempotent or @once"),
    (
        operation(http="DELETE /x"),
        one,
        'DELETE may be repeated by anyone: declare it @idempotent or @once, or write "P',
    ),
    (safe(http="GET /x"), several, "GET has no body, and 'note' does not fit into the query: give it as parameters"),
    (safe(http="GET /x"), mapped, "'note' does not fit into the query"),
    (once(http="DELETE /x"), nested, "DELETE has no body, and 'note' does not fit into the query"),
    (safe(http="POST /{x}"), several, "{x} is a part of the path, so its type must be a plain value"),
    (safe(http="POST /{note}"), several, "{note} is a part of the path, so its type must be a plain value"),
    (safe(http="GET /x", status=404), one, "status=404 must be one of success, 200 to 299; a Fault has a status"),
    (safe(http="GET /x", status="201"), one, "status='201' must be one of success"),  # type: ignore[arg-type]
    (safe(http="GET /x", status=204), one, "status=204 has no body"),
    (safe(http="GET /x", media="text/plain"), number, "media='text/plain' is for an operation that returns bytes or"),
    (safe(http="GET /x", media="csv"), one, "media='csv' is no media type: write one as in media=\"text/csv\""),
    (safe(http="GET /x", media="text/*"), one, "media='text/*' is no media type"),
    (safe(http="GET /x", media="text/csv\r\nx: y"), one, "is no media type"),
    (safe(http="GET /x", media="text/csv; charset=latin-1"), one, "text is sent in UTF-8: leave the charset out"),
    (operation(http="POST /x"), kindless, "'x': 'png' is no media type in small letters"),
    (operation(http="POST /x"), capital, "'Image/PNG' is no media type in small letters"),
    (operation(http="POST /x"), half, "'*/png' is no media type"),
    (operation(http="POST /x"), form, "a form is parts and not bytes: take AsyncIterator[FilePart]"),
    (operation(http="POST /x"), bare, "'x': Body stands there without brackets: write Body(…)"),
    (safe(status=201), one, "status=201 is for an operation in REST: write http= beside it"),
    (safe(media="text/plain"), one, "media='text/plain' is for an operation in REST"),
]


@pytest.mark.parametrize(("declare", "method", "said"), WRONG)
def test_a_wrong_place_is_refused_with_method_reason_and_remedy(declare, method, said):
    with pytest.raises(ContractError, match=r"contracts/test_routes.py:\d+: Broken.m: ") as refusal:
        define(m=declare(method))
    assert said in str(refusal.value)


def test_two_operations_cannot_share_a_route():
    @safe(http="GET /things/{a}")
    async def one(self, a: str) -> str: ...

    @safe(http="GET /things/{b}")
    async def two(self, b: str) -> str: ...

    @idempotent(http="DELETE /things/{b}")
    async def three(self, b: str) -> None: ...

    define(one=one, three=three)
    with pytest.raises(ContractError, match="already Broken.one"):
        define(one=one, two=two)
