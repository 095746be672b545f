"""The changes to the inn: whom each breaks, by which rules, and why buf sees it otherwise where it does."""

from typing import NamedTuple

UNSAID = "the .proto does not say it: Python's names, what is required, defaults, bounds, text's meaning, REST, codes"
KEPT = "a .proto has no events and no sagas"
DELETED = "buf lets an rpc or a service go in WIRE and WIRE_JSON; whoever calls it is refused as unimplemented"
STRONGER = "to buf every other idempotency level is a break; a stronger promise breaks no caller"
PRESENCE = "generated code gets a method that asks for presence; Python code reads the same"
RESERVED = "buf wants the number reserved for JSON, too, which never sees one; a name given again is compared by us"
NAMES = "buf goes by numbers and reads a number that moved as a field renamed; for JSON we go by names"
BY_NAME = "to buf the name of a message is its type; no name of a message is ever sent"
JSON_READS = (
    "the JSON of one is read as the other (docs/contracts.md), and so is the argument; protobuf's encodings differ"
)


class Case(NamedTuple):
    """A change to the inn: whom it breaks, by which rules, and the reason for each kind in which buf differs."""

    name: str
    edits: list[tuple[str, str]]
    kinds: str
    rules: str
    apart: dict[str, str]


CASES = [
    Case("nothing", [], "", "", {}),
    Case(
        "contract removed: other package",
        [('package="inn.v1"):\n    @safe', 'package="inn.v2"):\n    @safe')],
        "wire json source",
        "contract-removed",
        {"wire": DELETED, "json": DELETED},
    ),
    Case(
        "operation removed",
        [("    @idempotent\n    async def release(self, hold_id: UUID) -> None: ...\n", "")],
        "wire json source",
        "operation-removed",
        {"wire": DELETED, "json": DELETED},
    ),
    Case(
        "operation added",
        [("    @idempotent\n", "    @safe\n    async def more(self) -> int: ...\n\n    @idempotent\n")],
        "",
        "",
        {},
    ),
    Case(
        "operation renamed",
        [("def release", "def let_go")],
        "wire json source",
        "operation-removed",
        {"wire": DELETED, "json": DELETED},
    ),
    Case("parameter added with default", [("guests: int = 2)", 'guests: int = 2, near: str = "")')], "", "", {}),
    Case(
        "parameter added without default",
        [("city: str, guests: int = 2) ->", "city: str, near: str, guests: int = 2) ->")],
        "wire json source",
        "field-required number-changed parameters-moved",
        {},
    ),
    Case(
        "parameter removed",
        [("city: str, guests: int = 2)", "city: str)")],
        "wire source",
        "field-removed number-free",
        {"json": RESERVED},
    ),
    Case("parameter renamed", [("guests: int = 2", "people: int = 2")], "json source", "field-removed", {}),
    Case(
        "parameters swapped",
        [("hold_id: UUID, means: Card | Transfer)", "means: Card | Transfer, hold_id: UUID)")],
        "wire source",
        "number-changed parameters-moved",
        {"json": NAMES},
    ),
    Case(
        "parameter by name only",
        [("city: str, guests", "city: str, *, guests")],
        "source",
        "parameters-moved",
        {"source": UNSAID},
    ),
    Case(
        "default changed",
        [("guests: int = 2", "guests: int = 1")],
        "wire json",
        "default-changed",
        {"wire": UNSAID, "json": UNSAID},
    ),
    Case("once->plain", [("@once(http", "@operation(http")], "wire json source", "semantics-weakened", {}),
    Case(
        "idempotent->once",
        [("    @idempotent\n", "    @once\n")],
        "wire json source",
        "semantics-weakened",
        {"wire": UNSAID, "json": UNSAID, "source": UNSAID},
    ),
    Case(
        "plain->once",
        [("    @operation\n", "    @once\n")],
        "",
        "",
        {"wire": STRONGER, "json": STRONGER, "source": STRONGER},
    ),
    Case(
        "authenticated",
        [("    @idempotent\n", "    @idempotent(authenticated=True)\n")],
        "wire json",
        "authenticated",
        {"wire": UNSAID, "json": UNSAID},
    ),
    Case("timeout shorter", [("    @idempotent\n", "    @idempotent(timeout=1.0)\n")], "", "", {}),
    Case(
        "unary->stream",
        [("async def kinds(self) -> dict[str, Kind]", "def kinds(self) -> AsyncIterator[Hold]")],
        "wire json source",
        "stream-changed",
        {},
    ),
    Case(
        "fault added",
        [
            ("raises=[Taken, Lost]", "raises=[Taken, Lost, Gone]"),
            ("class Rooms(", "class Gone(Fault):\n    pass\n\n\nclass Rooms("),
        ],
        "",
        "",
        {},
    ),
    Case("fault removed", [("raises=[Taken, Lost]", "raises=[Taken]")], "source", "fault-removed", {}),
    Case(
        "fault code",
        [("code=Code.NOT_FOUND", "code=Code.ABORTED")],
        "wire json",
        "fault-changed",
        {"wire": UNSAID, "json": UNSAID},
    ),
    Case(
        "fault status",
        [("code=Code.NOT_FOUND", "code=Code.NOT_FOUND, status=410")],
        "json",
        "fault-changed",
        {"json": UNSAID},
    ),
    Case(
        "fault field required removed",
        [
            (
                "class Lost(Fault, code=Code.NOT_FOUND):\n    hold_id: UUID",
                "class Lost(Fault, code=Code.NOT_FOUND):\n    pass",
            )
        ],
        "wire json source",
        "field-removed number-free",
        {},
    ),
    Case(
        "fault field added",
        [("    hold_id: UUID\n\n\nclass Rooms", "    hold_id: UUID\n    since: date\n\n\nclass Rooms")],
        "",
        "",
        {},
    ),
    Case(
        "request field optional added",
        [("    note: str | None = None", "    note: str | None = None\n    late: bool = False")],
        "",
        "",
        {},
    ),
    Case(
        "request field required added",
        [("    note: str | None = None", "    note: str | None = None\n    late: bool")],
        "json source",
        "field-required",
        {"json": UNSAID, "source": UNSAID},
    ),
    Case(
        "request field required added no zero",
        [("    note: str | None = None", "    note: str | None = None\n    day: date")],
        "wire json source",
        "field-required",
        {"wire": UNSAID, "json": UNSAID, "source": UNSAID},
    ),
    Case(
        "field inserted in the middle",
        [("    room: str\n    nights: Ann", '    room: str\n    bed: str = ""\n    nights: Ann')],
        "wire",
        "number-changed",
        {"json": NAMES, "source": NAMES},
    ),
    Case(
        "request optional field removed",
        [("    note: str | None = None\n", "")],
        "wire source",
        "field-removed number-free",
        {"json": RESERVED},
    ),
    Case(
        "request required field removed",
        [("    room: str\n    nights: Ann", "    nights: Ann")],
        "wire source",
        "field-removed number-changed wire-type-changed",
        {"json": NAMES},
    ),
    Case(
        "request optional now required",
        [("    wishes: tuple[str, ...] = ()", "    wishes: tuple[str, ...]")],
        "json source",
        "field-required",
        {"json": UNSAID, "source": UNSAID},
    ),
    Case(
        "request required now optional",
        [("    nights: Annotated[int, Meta(ge=1, le=30)]", "    nights: Annotated[int, Meta(ge=1, le=30)] = 1")],
        "",
        "",
        {"source": PRESENCE},
    ),
    Case("request bounds widened", [("le=30", "le=60")], "", "", {}),
    Case(
        "request bounds narrowed",
        [("le=30", "le=20")],
        "wire json",
        "bounds-narrowed",
        {"wire": UNSAID, "json": UNSAID},
    ),
    Case("reply bounds widened", [("le=9", "le=90")], "json", "bounds-widened", {"json": UNSAID}),
    Case("reply bounds narrowed", [("le=9", "le=5")], "json", "bounds-narrowed", {"json": UNSAID}),
    Case(
        "reply optional added",
        [
            (
                '    board: Literal["half", "full"] = "half"',
                '    board: Literal["half", "full"] = "half"\n    late: bool = False',
            )
        ],
        "",
        "",
        {},
    ),
    Case(
        "reply required added",
        [
            (
                '    board: Literal["half", "full"] = "half"',
                '    board: Literal["half", "full"] = "half"\n    late: bool',
            )
        ],
        "json",
        "field-required",
        {"json": UNSAID},
    ),
    Case(
        "reply optional removed",
        [('    board: Literal["half", "full"] = "half"\n', "")],
        "wire source",
        "field-removed number-free",
        {"json": RESERVED},
    ),
    Case(
        "reply required removed",
        [("    floor: Annotated[int, Meta(ge=0, le=9)]\n", "")],
        "wire json source",
        "field-removed number-changed wire-type-changed",
        {},
    ),
    Case(
        "reply may be None",
        [("-> list[Hold]", "-> list[Hold] | None")],
        "wire json source",
        "number-free type-changed wire-type-changed",
        {},
    ),
    Case(
        "reply field may be None",
        [("    price: Money", "    price: Money | None")],
        "json source",
        "type-changed",
        {"json": UNSAID, "source": UNSAID},
    ),
    Case(
        "reply field none no longer",
        [("    until: datetime | None = None", "    until: datetime")],
        "json",
        "type-changed",
        {"json": UNSAID},
    ),
    Case(
        "renamed in Python with alias",
        [
            (
                "    nights: Annotated[int, Meta(ge=1, le=30)]\n",
                '    days: Annotated[int, Meta(ge=1, le=30)] = msgspec.field(name="nights")\n',
            )
        ],
        "source",
        "field-renamed",
        {"source": UNSAID},
    ),
    Case(
        "renamed",
        [("    nights: Annotated[int, Meta(ge=1, le=30)]\n", "    days: Annotated[int, Meta(ge=1, le=30)]\n")],
        "json source",
        "field-removed field-required",
        {},
    ),
    Case(
        "json name",
        [("    hold_id: UUID\n    price", '    hold_id: UUID = msgspec.field(name="id")\n    price')],
        "json",
        "field-renamed",
        {"source": NAMES},
    ),
    Case(
        "type int->str both",
        [("    age: int = 0", '    age: str = ""')],
        "wire json source",
        "type-changed wire-type-changed",
        {},
    ),
    Case(
        "type request widened int->Decimal",
        [("guests: int = 2", "guests: Decimal = Decimal(2)")],
        "wire source",
        "type-changed wire-type-changed",
        {"json": JSON_READS},
    ),
    Case(
        "type int->float request",
        [("guests: int = 2", "guests: float = 2.0")],
        "wire",
        "wire-type-changed",
        {"json": JSON_READS, "source": JSON_READS},
    ),
    Case(
        "reply UUID->str",
        [("    hold_id: UUID\n    price", "    hold_id: str\n    price")],
        "json source",
        "type-changed",
        {"json": UNSAID, "source": UNSAID},
    ),
    Case(
        "single to list",
        [("    room: str\n    nights: Ann", "    room: list[str]\n    nights: Ann")],
        "wire json source",
        "type-changed wire-type-changed",
        {},
    ),
    Case("list to set", [("tuple[str, ...]", "frozenset[str]")], "source", "type-changed", {"source": UNSAID}),
    Case(
        "enum value added to request and reply",
        [('    DOUBLE = "double"\n', '    DOUBLE = "double"\n    SUITE = "suite"\n')],
        "json",
        "value-added",
        {"json": UNSAID},
    ),
    Case("open enum value added", [('    OTHER = "other"\n', '    OTHER = "other"\n    WILD = "wild"\n')], "", "", {}),
    Case(
        "enum value removed",
        [('    SINGLE = "single"\n', "")],
        "json source",
        "member-removed value-removed",
        {"json": UNSAID, "source": UNSAID},
    ),
    Case(
        "enum member renamed",
        [('    SINGLE = "single"\n', '    ONE = "single"\n')],
        "source",
        "member-removed",
        {"source": UNSAID},
    ),
    Case(
        "enum value changed",
        [('    SINGLE = "single"\n', '    SINGLE = "one"\n')],
        "json",
        "value-added value-removed",
        {"json": UNSAID},
    ),
    Case(
        "literal added in reply",
        [('Literal["half", "full"]', 'Literal["half", "full", "none"]')],
        "json source",
        "value-added",
        {"json": UNSAID, "source": UNSAID},
    ),
    Case(
        "literal removed in reply",
        [('Literal["half", "full"]', 'Literal["half"]')],
        "json",
        "value-removed",
        {"json": UNSAID},
    ),
    Case(
        "union member added",
        [
            ("means: Card | Transfer) -> Card | Transfer", "means: Card | Transfer | Cash) -> Card | Transfer | Cash"),
            ("class Stay(", 'class Cash(Message, tag="cash"):\n    pass\n\n\nclass Stay('),
        ],
        "json source",
        "type-changed",
        {"wire": BY_NAME},
    ),
    Case(
        "union member removed",
        [("means: Card | Transfer) -> Card | Transfer", "means: Card) -> Card")],
        "wire json source",
        "number-free type-changed wire-type-changed",
        {},
    ),
    Case("tag changed", [('tag="card"', 'tag="credit"')], "json", "type-changed", {"json": UNSAID}),
    Case(
        "two texts change places",
        [('    amount: Decimal\n    currency: str = "EUR"\n', '    currency: str = "EUR"\n    amount: Decimal\n')],
        "wire",
        "number-changed",
        {"wire": NAMES, "json": NAMES, "source": NAMES},
    ),
    Case("message renamed", [("Money", "Price")], "source", "class-moved", {"wire": BY_NAME, "json": BY_NAME}),
    Case(
        "message moved",
        [
            (
                'class Money(Message):\n    amount: Decimal\n    currency: str = "EUR"\n',
                'class Price(Message):\n    amount: Decimal\n    currency: str = "EUR"\n\n\nMoney = Price\n',
            )
        ],
        "",
        "",
        {"wire": BY_NAME, "json": BY_NAME, "source": BY_NAME},
    ),
    Case(
        "strict gets a field",
        [("    age: int = 0", '    age: int = 0\n    nick: str = ""')],
        "json",
        "field-added",
        {"json": UNSAID},
    ),
    Case("strict loses a field", [("    age: int = 0\n", "")], "wire json source", "field-removed number-free", {}),
    Case("route path", [("GET /rooms/{city}", "GET /free/{city}")], "json", "route-changed", {"json": UNSAID}),
    Case(
        "route placeholder name",
        [("GET /rooms/{city}", "GET /rooms/{town}"), ("free(self, city", "free(self, town")],
        "json source",
        "field-removed field-required parameters-moved",
        {},
    ),
    Case(
        "route removed",
        [('@safe(http="GET /rooms/{city}")', "@safe")],
        "wire json",
        "internal route-removed",
        {"wire": UNSAID, "json": UNSAID},
    ),
    Case("route added", [("    @idempotent\n", '    @idempotent(http="DELETE /holds/{hold_id}")\n')], "", "", {}),
    Case("route verb", [('http="POST /holds"', 'http="PUT /holds"')], "json", "route-changed", {"json": UNSAID}),
    Case(
        "query to body",
        [('@safe(http="GET /rooms/{city}")', '@safe(http="POST /rooms/{city}")')],
        "json",
        "route-changed",
        {"json": UNSAID},
    ),
    Case("status", [("status=201", "status=202")], "json", "status-changed", {"json": UNSAID}),
    Case(
        "event removed",
        [('class Left(Event, package="inn.v1"):\n    room: str\n', ""), (", Left]", "]")],
        "json source",
        "event-removed saga-waits",
        {"json": KEPT, "source": KEPT},
    ),
    Case(
        "event package",
        [('class Left(Event, package="inn.v1")', 'class Left(Event, package="inn.v2")')],
        "json source",
        "event-removed saga-waits",
        {"json": KEPT, "source": KEPT},
    ),
    Case("event key", [(', key="room"', "")], "json", "event-key-changed", {"json": KEPT}),
    Case(
        "event optional field added",
        [('    note: str = ""\n\n\nclass Left', '    note: str = ""\n    by: str = ""\n\n\nclass Left')],
        "",
        "",
        {},
    ),
    Case(
        "event required field added",
        [('    note: str = ""\n\n\nclass Left', '    note: str = ""\n    by: str\n\n\nclass Left')],
        "json",
        "field-required",
        {"json": KEPT},
    ),
    Case(
        "event optional field now required",
        [('    note: str = ""\n\n\nclass Left', "    note: str\n\n\nclass Left")],
        "",
        "",
        {},
    ),
    Case(
        "event required field removed",
        [("    nights: int\n    note", "    note")],
        "json source",
        "field-removed",
        {"json": KEPT, "source": KEPT},
    ),
    Case(
        "event optional field removed",
        [('    nights: int\n    note: str = ""\n', "    nights: int\n")],
        "source",
        "field-removed",
        {"source": KEPT},
    ),
    Case("saga removed", [("def book", "def reserve")], "json", "saga-removed", {"json": KEPT}),
    Case("saga input default added", [("tries: int = 3", "tries: int = 3, pets: int = 0")], "", "", {}),
    Case(
        "saga input required added",
        [("stay: Stay, tries", "stay: Stay, pets: int, tries")],
        "json",
        "field-required",
        {"json": KEPT},
    ),
    Case("saga input type", [("tries: int = 3", "tries: date | None = None")], "json", "type-changed", {"json": KEPT}),
    Case(
        "saga supports", [("@saga(version=2,", "@saga(version=3, supports=3,")], "json", "saga-version", {"json": KEPT}
    ),
    Case(
        "saga answer", [("tries: int = 3) -> None", "tries: int = 3) -> int")], "json", "type-changed", {"json": KEPT}
    ),
    Case("saga version", [("@saga(version=2,", "@saga(version=3,")], "", "", {}),
    Case("saga waits", [(", Left]", "]")], "json", "saga-waits", {"json": KEPT}),
]
