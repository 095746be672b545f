"""What operators read of a system's contracts, and the calls that they make: in its processes and merged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, ClassVar, Protocol
from uuid import UUID

import pytest
from msgspec import Meta

from meristem import (
    CallError,
    Code,
    Contract,
    Database,
    Fault,
    Identity,
    Message,
    Service,
    System,
    Travelling,
    current,
    idempotent,
    once,
    operation,
    safe,
)
from meristem.contracts.python_text import PythonText
from meristem.operators.asking import Asking
from meristem.operators.catalogue_contract import (
    LONGEST_CALL,
    CallAnswer,
    ExportForm,
    OperatorCall,
    Snippet,
    SnippetQuestion,
)
from meristem.operators.system_catalogue import SystemCatalogue
from meristem.testing import running

TENANT = Travelling[str]("desk_tenant")


class Board(Enum):
    """What is eaten."""

    NONE = "none"
    HALF = "half"


class Guest(Message):
    """Who comes."""

    name: str
    """As on the passport."""
    age: Annotated[int, Meta(ge=0, le=150)] = 30


class Stay(Message):
    """A stay to be booked."""

    guests: list[Guest]
    arrival: date
    price: Decimal
    board: Board = Board.NONE
    note: str | None = None


class Full(Fault, code=Code.RESOURCE_EXHAUSTED, status=409):
    """No room is free."""

    nights: int


class Rooms(Contract, Protocol, package="catalogue.v1"):
    """Rooms of a hotel.

    And who sleeps there.
    """

    @once(http="POST /stays", authenticated=True, raises=[Full], timeout=3.0)
    async def book(self, stay: Stay) -> str:
        """Book a stay.

        It is paid on arrival.
        """
        ...

    @safe(public=True)
    async def free(self, nights: int, board: Board = Board.HALF) -> int: ...

    @safe
    def numbers(self, count: int) -> AsyncIterator[int]: ...

    @operation
    async def add(self, numbers: AsyncIterator[int]) -> int: ...

    @idempotent
    async def fail(self) -> None: ...


class Desk(Contract, Protocol, package="catalogue.v1"):
    @safe
    async def ring(self) -> str: ...


class RoomsService(Rooms, Service):
    def __init__(self, database: Database) -> None:
        self.booked: list[tuple[Any, str | None, str | None]] = []

    async def book(self, stay: Stay) -> str:
        user = current().user
        if stay.note == "full":
            raise Full(nights=3)
        self.booked.append((user, current().caller, TENANT.get()))
        return f"{user.name if user else ''}: {stay.price}"

    async def free(self, nights: int, board: Board = Board.HALF) -> int:
        return nights * 2

    async def numbers(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def add(self, numbers: AsyncIterator[int]) -> int:
        return sum([each async for each in numbers])

    async def fail(self) -> None:
        raise ValueError("broken")


class DeskService(Desk, Service):
    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms

    async def ring(self) -> str:
        return "ding"


SYSTEM = System("catalogue", services=[RoomsService, DeskService])
FORMS: tuple[ExportForm, ...] = ("openapi", "proto", "json-schema")
STAY = '{"guests": [{"name": "Ada"}], "arrival": "2031-05-01", "price": "120.50"}'


class Place:
    """The one process of a running system, as operators ask it; its desks are the real ones."""

    restarts = 0

    def __init__(self, app: Any) -> None:
        self.labels = {"process": "main", "replica": "0"}
        self.services = ("rooms", "desk", "gone")
        self.ask = app.desks.ask


class Overview:
    """A system of that process alone."""

    address = "http://127.0.0.1:1"

    def __init__(self, app: Any) -> None:
        self.app, self.place = app, Place(app)
        self.catalogue = SystemCatalogue(self, Asking(self))  # type: ignore[arg-type]

    def instances(self) -> list[Place]:
        return [self.place]

    async def call(self, method: str, request: str, service: str = "rooms", **given: Any) -> CallAnswer:
        contract = {"rooms": "catalogue.v1.Rooms", "desk": "catalogue.v1.Desk"}[service]
        return await self.catalogue.call(
            OperatorCall(service=service, contract=contract, operation=method, request=request, **given)
        )

    async def snippets(self, method: str, request: str, **given: Any) -> dict[str, Snippet]:
        address = given.pop("address", "")
        question = SnippetQuestion(
            service="rooms", contract="catalogue.v1.Rooms", operation=method, request=request, address=address, **given
        )
        return {each.language: each for each in await self.catalogue.snippets(question)}


@pytest.fixture
async def seen() -> AsyncIterator[Overview]:
    async with running(SYSTEM) as app:
        yield Overview(app)


async def test_contracts_are_listed_with_who_asks_for_them(seen: Overview) -> None:
    told = await seen.catalogue.contracts()
    assert [(each.service, each.name, each.callers) for each in told.contracts] == [
        ("desk", "catalogue.v1.Desk", []),
        ("rooms", "catalogue.v1.Rooms", ["desk"]),
    ]
    assert told.contracts[1].summary == "Rooms of a hotel."
    assert told.contracts[1].operations == ["book", "free", "numbers", "add", "fail"]


async def test_a_contract_is_told_with_types_bounds_defaults_and_texts(seen: Overview) -> None:
    told = await seen.catalogue.contract("rooms", "catalogue.v1.Rooms")
    book, free, numbers, add, _ = told.operations
    assert (book.route, book.semantics, book.timeout, book.authenticated) == ("POST /stays", "once", 3.0, True)
    assert [(each.name, each.code, each.status) for each in book.faults] == [("Full", "resource_exhausted", 409)]
    assert (numbers.stream, numbers.timeout, numbers.idle, add.takes_stream) == (True, None, 60.0, True)
    schemas = json.loads(told.schemas)
    assert json.loads(book.request) == {"$ref": "#/components/schemas/Stay"}
    assert schemas["Guest"]["properties"]["name"]["description"] == "As on the passport."
    assert schemas["Guest"]["properties"]["age"] == {"type": "integer", "minimum": 0, "maximum": 150, "default": 30}
    assert schemas["Stay"]["properties"]["arrival"]["format"] == "date"
    assert json.loads(free.request)["$ref"].rpartition("/")[2] in schemas
    assert "desk_tenant" in told.travelling


async def test_a_call_is_made_for_whom_the_operator_names_and_leaves_a_trace(seen: Overview) -> None:
    answer = await seen.call(
        "book", STAY, user="42", user_name="Ada", roles=["guest"], travelling={"desk_tenant": "north"}, key="basket-7"
    )
    assert (answer.reply, answer.code, answer.key) == ('"Ada: 120.50"', "", "basket-7")
    again = await seen.call("book", STAY, user="42", user_name="Ada", key="basket-7")
    assert again.reply == answer.reply
    assert seen.app.service(RoomsService).booked == [(Identity("42", "Ada", ("guest",)), None, "north")]
    root, *others = seen.app.telemetry.recent.trace(answer.trace_id)
    assert (root.kind, root.service, root.parent_id) == ("client", "operator", None)
    server = next(each for each in others if each.kind == "server")
    assert (server.parent_id, server.attributes["user.id"]) == (root.span_id, "42")


async def test_faults_refusals_and_failures_are_answers(seen: Overview) -> None:
    full = await seen.call("book", STAY[:-1] + ', "note": "full"}', user="42")
    assert (full.fault, json.loads(full.reply)) == ("Full", {"nights": 3})
    unfit = await seen.call("book", '{"guests": [{"name": 1}], "arrival": "2031-05-01"}', user="42")
    assert unfit.code == "invalid_argument"
    assert unfit.fields[0].field in ("guests[0].name", "guests.0.name", "price")
    assert not unfit.may_have_happened
    assert (await seen.call("book", STAY)).code == "unauthenticated"
    broken = await seen.call("fail", "{}")
    assert (broken.code, "broken" in broken.message) == ("internal", False)
    assert broken.trace_id
    unknown = await seen.call("free", '{"nights": 1}', travelling={"tennant": "x"})
    assert (unknown.code, "travels as 'tennant'" in unknown.message) == ("invalid_argument", True)


async def test_of_a_stream_the_first_items_are_shown(seen: Overview) -> None:
    few = await seen.call("numbers", '{"count": 3}', most=3)
    many = await seen.call("numbers", '{"count": 1000000}', most=2)
    assert (json.loads(few.reply), few.more) == ([0, 1, 2], False)
    assert (json.loads(many.reply), many.more) == ([0, 1], True)
    assert (await seen.call("add", "[1, 2, 3]")).reply == "6"
    assert (await seen.call("add", "{}")).code == "invalid_argument"


async def test_a_call_has_its_time_also_where_a_service_has_several_replicas(seen: Overview) -> None:
    class Slow:
        labels: ClassVar = {"process": "main", "replica": "0"}
        services = ("rooms",)
        timeouts: ClassVar[list[float]] = []

        async def ask(self, operation: Any, request: Any) -> Any:
            self.timeouts.append(operation.timeout)
            raise ConnectionError("it is away")

    seen.instances = lambda: [Slow(), Slow(), seen.place]  # type: ignore[method-assign, list-item, return-value]
    assert (await seen.call("free", '{"nights": 1}')).reply == "2"
    assert len(Slow.timeouts) == 2
    assert min(Slow.timeouts) > LONGEST_CALL


async def test_what_there_is_not_is_said(seen: Overview) -> None:
    with pytest.raises(CallError, match="did you mean 'free'") as refused:
        await seen.call("fre", "{}")
    assert refused.value.code is Code.NOT_FOUND
    with pytest.raises(CallError, match="it has catalogue.v1.Rooms|did you mean"):
        await seen.catalogue.contract("rooms", "Rooms")
    with pytest.raises(CallError, match="no service 'rom' lives here"):
        await seen.catalogue.contract("rom", "Rooms")


async def test_exports_are_those_of_the_command(seen: Overview) -> None:
    forms = {form: await seen.catalogue.export("rooms", "catalogue.v1.Rooms", form) for form in FORMS}
    assert '"/stays"' in forms["openapi"][0].text
    assert "service Rooms {" in forms["proto"][0].text
    assert forms["json-schema"][0].path == "catalogue.v1.Rooms.schema.json"
    with pytest.raises(CallError, match="no operation in REST"):
        await seen.catalogue.export("desk", "catalogue.v1.Desk", "openapi")


async def test_snippets_say_why_a_call_can_not_be_written(seen: Overview) -> None:
    inside = await seen.snippets("fail", "{}")
    assert (inside["curl"].text, "Only parts of the system" in inside["curl"].remark) == ("", True)
    assert 'connect(folder=".", service="script")' in inside["Python"].text
    half = await seen.snippets("book", "{}", user="42")
    assert {(each.text, "`arrival`" in each.remark or "guests" in each.remark) for each in half.values()} == {
        ("", True)
    }
    signed = await seen.snippets("book", STAY, user="42")
    assert "$TOKEN" in signed["curl"].text
    assert 'using(user=Identity("42"))' in signed["Python"].text
    assert "arrival=date.fromisoformat" in signed["Python"].text
    assert signed["Command"].text.startswith("meristem call rooms.book --user 42 ")
    compile(signed["Python"].text, "snippet", "exec")
    compile((await seen.snippets("add", "[1, 2]"))["Python"].text, "snippet", "exec")


def test_values_are_written_as_python_reads_them() -> None:
    text = PythonText()
    values = [
        None, True, -7, 1.5, float("inf"), "it's", b"\x00", Decimal("1.50"), UUID(int=5), date(2031, 5, 1),
        datetime(2031, 5, 1, 12, tzinfo=UTC), time(8, 30), timedelta(days=1, seconds=2),
        Board.HALF, [1, (2,)], {"a": frozenset()},
        Stay(guests=[Guest(name="Ada", age=7)], arrival=date(2031, 5, 1), price=Decimal(1)),
    ]  # fmt: skip
    written = text.value(values)
    assert "note=" not in written
    known: dict[str, Any] = {}
    exec("\n".join(each for each in text.import_lines() if __name__ not in each), known)
    assert eval(written, known | globals()) == values
